"""Model cards for the Hugging Face hub: scores as `model-index`, benchmarks as `.eval_results`.

A folder for each variant that can ship, to be uploaded beside its weights. The shapes are the
hub's: https://github.com/huggingface/hub-docs, modelcard.md and docs/hub/eval-results.md. The
latter lists benchmarks of the hub alone, so a task stands there only where the recipe says which
one its test rows are (`eval.hub_benchmarks`). Pure.
"""

from __future__ import annotations

import math
import re
from typing import Any

from report import meanings
from report.figures import bounds_of, text_of
from report.run_data import RunData
from stemma.markdown import escaped, table
from stemma.recipe.eval_tasks import BENCHMARK
from stemma.rows import Score
from stemma.yaml_text import to_yaml

FOLDER = "hub"
TASK_TYPE = "text-generation"
"""The hub's name of what these models do, whatever is measured."""
MAIN = {"mcq": "accuracy", "preference": "reward_accuracy", "generation": "accuracy"}
"""The metric of each task that a leaderboard would list; of others the first."""
HIDDEN = re.compile(r".*_minus_merged|.*_(p|spread|unsteady)$|chance$|cost_usd$")
"""Metrics that compare or explain: they stay in the report."""


def card_files(evidence: RunData) -> dict[str, str]:
    """The text of each file by its path in the stage's folder."""
    found = {}
    for variant in evidence.recipe.exported():
        scores = shown_scores(evidence, variant)
        if scores:
            found[f"{FOLDER}/{variant}/README.md"] = card(evidence, variant, scores)
        for task, entries in eval_results(evidence, variant, scores).items():
            name = re.sub(r"[^\w.-]", "-", task).lstrip(".")
            found[f"{FOLDER}/{variant}/.eval_results/{name}.yaml"] = to_yaml(entries)
    return found


def shown_scores(evidence: RunData, variant: str) -> list[Score]:
    """What a card tells of a variant: its own figures on data, not its speed on this machine."""
    return [
        score
        for score in evidence.scores
        if score.variant == variant
        and score.task != "speed"
        and math.isfinite(score.value)
        and not HIDDEN.match(score.metric)
    ]


def card(evidence: RunData, variant: str, scores: list[Score]) -> str:
    """README.md: the front matter that the hub reads, and the same scores for people."""
    rows = [
        (score.task, score.metric, text_of(score), bounds_of(score), f"{score.n:,}")
        for score in scores
    ]
    name = f"{evidence.recipe.name}-{variant}"
    lines = [
        "---",
        to_yaml(front_matter(evidence, variant, scores)).rstrip(),
        "---",
        f"# {escaped(name)}",
        "",
        "Measured by Stemma on held-out rows, in this very format. In brackets 95% intervals; n is "
        "the number of rows.",
        "",
        *table(("Task", "Metric", "Value", "Interval", "n"), rows),
    ]
    return "\n".join(lines) + "\n"


def front_matter(evidence: RunData, variant: str, scores: list[Score]) -> dict[str, Any]:
    """The card's metadata. The licence is the owner's to state, so none is."""
    recipe = evidence.recipe
    found: dict[str, Any] = {}
    if recipe.base_model and not recipe.is_base_local:
        found["base_model"] = recipe.base_model
    if evidence.data.language:
        found["language"] = [evidence.data.language]
    found["library_name"] = "gguf" if variant.startswith("gguf-") else "transformers"
    found["pipeline_tag"] = TASK_TYPE
    found["tags"] = ["stemma"]
    by_task: dict[str, list[Score]] = {}
    for score in scores:
        by_task.setdefault(score.task, []).append(score)
    results = [_result(evidence, task, rows) for task, rows in by_task.items()]
    found["model-index"] = [{"name": f"{recipe.name}-{variant}", "results": results}]
    return found


def _result(evidence: RunData, task: str, scores: list[Score]) -> dict[str, Any]:
    recipe = evidence.recipe
    benchmark = recipe.eval.hub_benchmarks.get(task)
    dataset: dict[str, Any] = {
        # Not a name of the hub's, which would have an owner and a slash.
        "type": benchmark.dataset if benchmark else f"{recipe.name}-{task}",
        "name": benchmark.dataset if benchmark else f"test rows of {recipe.name}, task {task}",
        "split": "test",
    }
    if benchmark and benchmark.revision:
        dataset["revision"] = benchmark.revision
    return {
        "task": {"type": TASK_TYPE, "name": task},
        "dataset": dataset,
        "metrics": [_metric(score) for score in scores],
    }


def _metric(score: Score) -> dict[str, Any]:
    args: dict[str, Any] = {"n": score.n}
    if score.low is not None and score.high is not None:
        args |= {"interval": "95%", "low": score.low, "high": score.high}
    meaning = meanings.of_metric(score.task, score.metric)
    name = score.metric.replace("_", " ")
    return {
        "type": "accuracy" if score.metric == MAIN.get(score.task) else score.metric,
        "value": score.value,
        "name": f"{name}: {meaning}" if meaning else name,
        "args": args,
    }


def eval_results(
    evidence: RunData, variant: str, scores: list[Score]
) -> dict[str, list[dict[str, Any]]]:
    """The entries of each `.eval_results` file, by task: benchmarks that the recipe names.

    A task that was measured on a part of its rows is no benchmark, and has none.
    """
    limited = _limited(evidence)
    found = {}
    for task, benchmark in evidence.recipe.eval.hub_benchmarks.items():
        rows = [score for score in scores if score.task == task and task not in limited]
        main = [score for score in rows if score.metric == MAIN.get(task)] or rows
        if not main:
            continue
        dataset: dict[str, Any] = {"id": benchmark.dataset, "task_id": benchmark.task_id}
        if benchmark.revision:
            dataset["revision"] = benchmark.revision
        score = main[0]
        found[task] = [
            {
                "dataset": dataset,
                "value": score.value,
                "date": evidence.manifests["eval"].end,
                "notes": f"{score.metric}, n = {score.n}, {bounds_of(score)} 95% interval; Stemma, "
                f"recipe {evidence.recipe.name}, variant {variant}",
            }
        ]
    return found


def _limited(evidence: RunData) -> set[str]:
    """The tasks that were measured on their first rows alone."""
    section = evidence.recipe.eval
    found: set[str] = {options.task for options in section.tasks if options.limit}
    if section.benchmarks and section.benchmarks.limit:
        found |= {score.task for score in evidence.scores if score.task.startswith(BENCHMARK)}
    return found
