"""Samples, questions and scores for a run folder to report, by the tasks' own scoring.

Answers are drawn by a seed; some replies hold all that could break a page.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from eval.task import TaskScores
from eval.tasks import TASKS
from eval.verdicts import differences, flips, verdicts
from eval.verdicts import write as write_verdicts
from stemma.jsonl import write_json, write_jsonl
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest

NASTY = (
    "</script><script>document.title = 'broken'</script><img src=x onerror=alert(1)>",
    "<!-- <b>bold</b> --> & &amp; \u2028 new line",
    "right to left: \u05e9\u05dc\u05d5\u05dd \u202eoverride\u202c end",
    "control \x00\x07\x1b[31m and \x7f",
    r"\frac{1}{2} $x^2$ \begin{align} a &= b \end{align} # % _",
    "a" * 20_000,
    "family \U0001f469\u200d\U0001f469 and \ufeffmark",
    "",
)
"""Replies that a page must show without breaking."""
RIGHT = {"base": 0.3, "sft": 0.5, "dpo": 0.5, "mcq": 0.7, "merged": 0.7, "bnb-nf4": 0.6}
"""Chances of a right answer by variant; 0.68 for all others."""

JUDGED_PAIR: dict[str, Any] = {
    "id": "s1",
    "policy": "dpo",
    "reference": "base",
    "judge": "scripted-expert",
    "kind": "scripted",
    "question": "What is 2 + 3?",
    "gold": "5",
    "answers": {"reference": "6 </script>", "policy": "2 + 3 = 5"},
    "right": {"reference": "wrong", "policy": "right"},
    "characters": {"reference": 11, "policy": 9},
    "identical": False,
    "outcome": "policy",
    "cost_usd": 0.0002,
    "orders": [
        {"first": "reference", "verdict": "2", "reason": "Clearer.", "problem": None},
        {"first": "policy", "verdict": None, "reason": "", "problem": "refused"},
    ],
}
"""A judged pair, as evaluation writes it."""

Records = list[dict[str, Any]]


def mcq_row(number: int) -> dict[str, Any]:
    return {
        "id": f"mcq-{number}",
        "source": "stem_exercises",
        "question": f"Which number is {number}? <b>{NASTY[number % len(NASTY)][:60]}</b> .",
        "choices": [str(number), str(number + 1), f"<i>{number + 2}</i>", "none"],
        "answer": "A",
        "subject": "algebra" if number % 2 else "physics",
    }


def mcq_sample(number: int, right: bool, draw: random.Random) -> dict[str, Any]:
    letter = "A" if right else draw.choice("BCD")
    log_probs = {name: -1.0 if name == letter else -2.0 - draw.random() for name in "ABCD"}
    row = mcq_row(number)
    return {
        "id": row["id"],
        "subject": row["subject"],
        "answer": row["answer"],
        "choices": row["choices"],
        "log_probs": log_probs,
    }


def pair_row(number: int) -> dict[str, Any]:
    return {
        "id": f"dpo-{number}",
        "source": "pairs",
        "question_id": f"q-{number}",
        "prompt": f"Explain {number}.",
        "chosen": f"{number} is a number.",
        "rejected": NASTY[number % len(NASTY)] or "no",
    }


def pair_sample(number: int, right: bool, draw: random.Random) -> dict[str, Any]:
    better = 1 + draw.random()
    return {
        "id": f"dpo-{number}",
        "question_id": f"q-{number}",
        "chosen_log_prob": -50 + (better if right else -better),
        "rejected_log_prob": -50.0,
        "chosen_tokens": 5,
        "rejected_tokens": 5 + number % 3,
    }


def sft_row(number: int) -> dict[str, Any]:
    asked = {"role": "user", "content": f"What is {number} + 1?"}
    answered = {"role": "assistant", "content": f"It is {number + 1}."}
    return {
        "id": f"sft-{number}",
        "source": "sums",
        "messages": [asked, answered],
        "meta": {"gold": str(number + 1)},
    }


def reply_sample(number: int, right: bool, draw: random.Random) -> dict[str, Any]:
    wrong = draw.choice(NASTY) if draw.random() < 0.5 else f"It is {number + 3}."
    return {
        "id": f"sft-{number}",
        "source": "sums",
        "gold": str(number + 1),
        "choices": (),
        "reply": f"It is {number + 1}." if right else wrong,
        "tokens": 5,
        "stopped": right,
    }


MAKERS: dict[str, tuple[str, Callable[[int], dict[str, Any]], Callable[..., dict[str, Any]]]] = {
    "mcq": ("mcq", mcq_row, mcq_sample),
    "preference": ("dpo", pair_row, pair_sample),
    "generation": ("sft", sft_row, reply_sample),
}
"""By task: its data set, a test row, and one variant's sample of it."""


def add_samples(work: Work, rows: int = 24, seed: int = 5) -> None:
    """Give a finished run test rows, samples and scores of every variant."""
    variants = work.recipe.eval.variants
    scored: dict[str, dict[str, TaskScores]] = {name: {} for name in variants}
    for task in MAKERS:
        _write_rows(work.run, task, rows)
        drawn = {name: _samples(task, name, rows, seed) for name in variants}
        reference = drawn[work.recipe.eval.reference]
        for name, found in drawn.items():
            scored[name][task] = TASKS[task].score_records(found, reference, seed, 0.1)
    _finish_data(work)
    _finish_eval(work, scored)


def _samples(task: str, variant: str, rows: int, seed: int) -> Records:
    draw = random.Random(f"{seed} {task} {variant}")
    chance = RIGHT.get(variant, 0.68)
    sample = MAKERS[task][2]
    return [sample(number, draw.random() < chance, draw) for number in range(rows)]


def _write_rows(run: Run, task: str, rows: int) -> None:
    data_set, row, _ = MAKERS[task]
    write_jsonl(run.folder("data") / data_set / "test.jsonl", map(row, range(rows)))


def finish_again(
    run: Run, stage: str, outputs: dict[str, str], facts: dict[str, Any] | None = None
) -> None:
    """The stage's manifest with further outputs and facts, else as it was."""
    found = run.manifest(stage)
    kept = ("key", "counts", "git_commit", "versions", "hardware", "start", "end")
    paths = {name: output.path for name, output in found.outputs.items()}
    fields = {name: getattr(found, name) for name in kept} | {"facts": found.facts | (facts or {})}
    write_manifest(run, stage, paths | outputs, **fields)


def _finish_data(work: Work) -> None:
    sets = [data_set for data_set, _, _ in MAKERS.values()]
    finish_again(work.run, "data", {f"{name}/test": f"{name}/test.jsonl" for name in sets})


def _finish_eval(work: Work, scored: dict[str, dict[str, TaskScores]]) -> None:
    folder = work.run.folder("eval")
    judged = verdicts(scored, work.recipe.eval)
    outputs = write_verdicts(folder, judged, flips(scored, work.recipe.eval.reference))
    scores = differences(judged)
    facts: dict[str, Any] = {}
    for variant, tasks in scored.items():
        facts[variant] = {task: found.facts for task, found in tasks.items()}
        for task, found in tasks.items():
            name = f"samples/{variant}/{task}"
            write_jsonl(folder / f"{name}.jsonl", found.samples)
            outputs[name] = f"{name}.jsonl"
            scores += [metric.score(variant, task) for metric in found.metrics]
    write_json(folder / "results.json", [score.model_dump(mode="json") for score in scores])
    finish_again(work.run, "eval", outputs, facts)
