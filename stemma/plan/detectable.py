"""How small a difference to merged an evaluation can show with its questions, before it runs.

Both models answer the same questions, so what counts is how many answers change (`changed`), for
better or worse; a format that changes nothing needs few questions. Nobody knows that share before:
the recipe states it (`eval.non_inferiority.changed`), and the plan prints it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

from stemma.jsonl import read_rows
from stemma.plan.benchmarks import asked
from stemma.recipe.check import SCORES
from stemma.recipe.eval_tasks import BENCHMARK, EvalTask
from stemma.recipe.models import Recipe
from stemma.rows import McqRow, PreferenceRow, SftRow
from stemma.runs import Run
from stemma.stages import Forecast

POWER = 0.8
"""The chance of showing what is true."""
ALPHA = 0.05
"""Two-sided, of "there is a difference"."""
YES_OR_NO = ("mcq", "preference", "generation")
"""Tasks whose rows are right or wrong."""
KINDS: dict[str, type[Any]] = {"sft": SftRow, "dpo": PreferenceRow, "mcq": McqRow}


@dataclass(frozen=True)
class Detectable:
    """What one task can show."""

    task: str
    questions: int | None
    """Different questions it asks; None: the test rows are not known yet."""
    difference: float | None
    """The smallest difference to merged that is likely to be shown, as a share."""
    needed: int
    """Questions that the recipe's margin needs."""


def detectable(recipe: Recipe, run: Run, counted: Forecast | None = None) -> list[Detectable]:
    """The tasks with a yes-or-no answer, in the recipe's order; their test rows read from the
    finished data, or as `counted` of its sources. Benchmarks, which hardly ever have another, stand
    behind them."""
    rule = recipe.eval.non_inferiority
    needed = questions_needed(rule.margin, rule.changed, rule.level)
    found = []
    for options in recipe.eval.tasks:
        if options.task in YES_OR_NO:
            count = _questions(options, _test_rows(run, SCORES[options.task], counted))
            smallest = smallest_difference(count, rule.changed) if count else None
            found.append(Detectable(options.task, count, smallest, needed))
    for name, count in asked(recipe).items():
        smallest = smallest_difference(count, rule.changed) if count else None
        found.append(Detectable(f"{BENCHMARK}{name}", count, smallest, needed))
    return found


def smallest_difference(questions: int, changed: float) -> float | None:
    """The smallest true difference that McNemar's test shows with a chance of POWER.

    Connor (Biometrics 43, 1987, 207-211): n = (z_a sqrt(c) + z_b sqrt(c - d^2))^2 / d^2 for a
    difference d where a share c of answers changes; a difference larger than `changed` takes as
    many changes. None where not even the largest is shown.
    """
    low, high = 0.0, 1.0
    if _mcnemar(high, changed) > questions:
        return None
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (low, middle) if _mcnemar(middle, changed) <= questions else (middle, high)
    return high


def _mcnemar(difference: float, changed: float) -> float:
    """Questions that show `difference`."""
    share = max(changed, difference)
    spread = _normal(1 - ALPHA / 2) * sqrt(share) + _normal(POWER) * sqrt(share - difference**2)
    return (spread / difference) ** 2


def questions_needed(margin: float, changed: float, level: float) -> int:
    """Questions that show non-inferiority by `margin` with a chance of POWER, where the truth is no
    difference.

    Nam (Biometrics 53, 1997, 1422-1430), for the paired score test: n = (z_level + z_power)^2 c /
    margin^2. And however few answers change: as many as rule out a loss of `margin` when none is
    seen, (1 - margin)^n <= 1 - level.
    """
    by_spread = (_normal(level) + _normal(POWER)) ** 2 * changed / margin**2
    return max(ceil(by_spread), ceil(log(1 - level) / log(1 - margin)))


def _normal(share: float) -> float:
    return NormalDist().inv_cdf(share)


def _test_rows(run: Run, name: str, counted: Forecast | None) -> Sequence[Any] | None:
    if data := run.read_manifest("data"):
        if f"{name}/test" not in data.outputs:  # built for another recipe: it will be built again
            return None
        path: Path = run.output("data", f"{name}/test")
        return read_rows(path, KINDS[name])
    return counted.test.get(name) if counted else None


def _questions(options: EvalTask, rows: Sequence[Any] | None) -> int | None:
    """Different questions of the rows that the task scores."""
    if rows is None:
        return None
    if options.task == "mcq":
        # A question that is asked again is not scored again.
        different = {(row.question, *sorted(row.choices)) for row in rows}
        return min(len(different), options.limit or len(different))
    scored = rows[: options.limit]
    if options.task == "preference":
        return len({row.question_id for row in scored})
    return sum(row.meta.get("gold") is not None for row in scored)
