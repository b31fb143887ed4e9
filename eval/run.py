"""The eval stage: what every variant says of the test rows, then the scores of it.

Measuring (slow, `eval.measuring`) and scoring (pure) are apart. The rewards of every format,
llama.cpp's too, are taken against the same reference figures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.abstaining import abstention
from eval.cells import jobs_of
from eval.chance import at_chance
from eval.further import Further
from eval.harness.run import benchmark_scores
from eval.job import Measured, Records, Samples
from eval.judge.run import check_judges, judge_variants
from eval.measuring import Measuring
from eval.noise import marked, measure_again, spreads
from eval.retrieval import arm_figures, arm_rows
from eval.retriever import open_retrieval
from eval.rows_to_score import counted, rows_of_tasks
from eval.served import check_servers, server_facts
from eval.task import TaskScores
from eval.tasks import TASKS
from eval.text.run import ready, text_metrics
from eval.verdicts import differences, flips, verdicts
from eval.verdicts import write as write_verdicts
from stemma.comparisons import BASELINE
from stemma.errors import StageFailed
from stemma.jsonl import write_json, write_jsonl
from stemma.recipe.eval_arms import split_arm, with_arm
from stemma.recipe.eval_tasks import EvalTask
from stemma.rows import Score
from stemma.stages import Result, Work

ScoredTasks = dict[str, TaskScores]
"""One variant's figures, by task."""


FURTHER: tuple[Callable[[Work, Measured], Further], ...] = (
    text_metrics,
    abstention,
    judge_variants,
)
"""What is figured behind the measuring, each in a module of its own, of the samples of all variants
(the reference's too) by task. They run in this order."""


def run(work: Work) -> Result:
    section = work.recipe.eval
    check_judges(work)
    ready(work)
    check_servers(work)
    rows = rows_of_tasks(work)
    arms = arm_rows(work, rows, open_retrieval(work))
    benchmarks = benchmark_scores(work, section.closed_book)
    measuring = Measuring(work, arms.rows, work.folder / "jobs")
    jobs = jobs_of(work, arms.files)
    measured = measuring.measure(jobs)
    _same_tokens({name: measured[name] for name in measured if not section.is_served(name)})
    scored = {name: _score(work, name, measured[name], measured) for name in section.variants}
    scored_again = [
        {name: _score(work, name, once_more[name], measured) for name in section.variants}
        for once_more in measure_again(measuring, jobs, section)
    ]
    noise = spreads(scored, scored_again)
    in_arms = arm_figures(work, measured, scored, arms)
    scored = {name: found | benchmarks.get(name, {}) for name, found in scored.items()}
    judged = marked(verdicts(scored, section), noise)
    scores = [score for variant in scored for score in _scores(variant, scored[variant])]
    scores += [*differences(judged), *noise]
    outputs = {"results": "results.json"} | _write_samples(work.folder, scored)
    outputs |= write_verdicts(work.folder, judged, flips(scored, section.reference))
    facts = _facts(section.reference, scored) | server_facts(section)
    if guessing := at_chance(scored, [*work.recipe.exported(), *section.servers]):
        facts["at_chance"] = guessing
        for line in guessing:
            work.say(f"eval: warning: {line}")
    for found in (in_arms, *(figure(work, measured) for figure in FURTHER)):
        scores += found.scores
        facts |= found.facts
        outputs |= _write_rows(work.folder, found.samples)
    write_json(work.folder / "results.json", [score.model_dump(mode="json") for score in scores])
    return Result(outputs, counted(rows) | arms.counted(), facts)


def _facts(reference: str, scored: dict[str, ScoredTasks]) -> dict[str, Any]:
    """For the manifest: the reference in words, then by variant and task what is no score."""
    facts: dict[str, Any] = {
        "reference": f"rewards are measured against the merged weights of stage `{reference}`",
        "token_disagreements": 0,
    }
    for variant, tasks in scored.items():
        facts[variant] = {task: found.facts for task, found in tasks.items() if found.facts}
    return facts


def _same_tokens(measured: Measured) -> None:
    """Every engine must have scored the same token ids, in each arm. Raises StageFailed."""
    yardsticks: dict[str, str] = {}
    for variant, samples in measured.items():
        for task, rows in samples.items():
            yardstick = yardsticks.setdefault(with_arm(task, split_arm(variant)[1]), variant)
            if others := token_disagreements(rows, measured[yardstick][task]):
                shown = ", ".join(f"{task}/{row}" for row in others[:5])
                turned = f"turn {len(others)} rows into other token ids: {shown}"
                raise StageFailed(f"eval: {variant} and {yardstick} {turned}")


def token_disagreements(samples: Records, yardstick: Records) -> list[str]:
    """The rows of a task whose token ids differ from the yardstick's."""
    known = {row["id"]: row["ids_digest"] for row in yardstick}
    return [row["id"] for row in samples if row["ids_digest"] != known[row["id"]]]


def _score(work: Work, name: str, samples: Samples, measured: Measured) -> ScoredTasks:
    """The figures of one variant's samples."""
    section = work.recipe.eval
    reference = with_arm(section.reference, split_arm(name)[1])
    found: ScoredTasks = {}
    options: dict[str, EvalTask] = {one.task: one for one in section.tasks}
    for task_name, rows in samples.items():
        task = TASKS[task_name]
        # Who is compared with is measured wherever a task of the recipe compares.
        anchors = measured.get(BASELINE if task.uses_merged else reference, {})
        compares = task.uses_merged or task.uses_reference
        anchor = anchors.get(task_name, rows) if compares else []
        seed, beta = work.recipe.seed, section.beta
        found[task_name] = task.score_records(rows, anchor, seed, beta, options[task_name])
    return found


def _scores(variant: str, scored: ScoredTasks) -> list[Score]:
    """The variant's rows of results.json."""
    return [
        metric.score(variant, task) for task, found in scored.items() for metric in found.metrics
    ]


def _write_samples(folder: Path, scored: dict[str, ScoredTasks]) -> dict[str, str]:
    rows = {
        f"samples/{variant}/{task}": found.samples
        for variant, tasks in scored.items()
        for task, found in tasks.items()
    }
    return _write_rows(folder, rows)


def _write_rows(folder: Path, rows: dict[str, Records]) -> dict[str, str]:
    """Write each file of rows; the stage's outputs."""
    for name, records in rows.items():
        write_jsonl(folder / f"{name}.jsonl", records)
    return {name: f"{name}.jsonl" for name in rows}
