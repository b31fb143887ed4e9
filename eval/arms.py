"""Arms compared: what passages before the questions change, each time over the rows that both
answered.

Three comparisons of one set of weights: each arm with closed-book, the search with chance (what
passages of any kind change) and with the question's own passage (what a better search could give).
Intervals and p-values are exact and paired; Holm's correction is over all comparisons of one task
and metric.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from eval.statistics import holm
from eval.task import TaskScores
from eval.verdicts import compare
from stemma.comparisons import ArmComparison
from stemma.recipe.eval_arms import Arm, split_arm, with_arm
from stemma.recipe.evaluation import NonInferiority
from stemma.rows import Score

ScoredTasks = Mapping[str, TaskScores]
"""One variant's figures, by task."""

PAIRS: tuple[tuple[Arm, Arm | None], ...] = (
    ("retrieved", None),
    ("random", None),
    ("gold", None),
    ("retrieved", "random"),
    ("retrieved", "gold"),
)
"""(arm, what it is compared with); None is closed-book."""
CLOSED_BOOK = "closed_book"


def compared_arms(scored: Mapping[str, ScoredTasks]) -> list[ArmComparison]:
    """Every comparison of two arms of the same weights that were both scored."""
    alone = [one for name, against in _pairs(scored) for one in _compared(scored, name, against)]
    places: dict[tuple[str, str], list[int]] = {}
    for place, one in enumerate(alone):
        places.setdefault((one.task, one.metric), []).append(place)
    corrected = dict[int, float]()
    for where in places.values():
        corrected |= dict(zip(where, holm([alone[place].p for place in where]), strict=True))
    return [one.model_copy(update={"p_holm": corrected[place]}) for place, one in enumerate(alone)]


def _pairs(scored: Mapping[str, ScoredTasks]) -> Iterator[tuple[str, str]]:
    weights = dict.fromkeys(split_arm(name)[0] for name in scored)
    for name in weights:
        for arm, against in PAIRS:
            pair = with_arm(name, arm), with_arm(name, against)
            if pair[0] in scored and pair[1] in scored:
                yield pair


def _compared(
    scored: Mapping[str, ScoredTasks], name: str, against: str
) -> Iterator[ArmComparison]:
    for task, found in scored[name].items():
        other = scored[against].get(task)
        for metric in found.right:
            if other and metric in other.right:
                yield from _one((name, against), (task, metric), (found, other))


def _one(
    names: tuple[str, str], place: tuple[str, str], both: tuple[TaskScores, TaskScores]
) -> Iterator[ArmComparison]:
    """Two arms on the rows that both have; nothing where they share none."""
    task, metric = place
    found, other = (one.right[metric] for one in both)
    common = {row: is_right for row, is_right in found.items() if row in other}
    if not common:
        return
    shared = replace(both[0], right={metric: common})
    one = compare((names[0], task, metric), shared, both[1], NonInferiority())
    yield ArmComparison(
        variant=names[0],
        against=names[1],
        task=task,
        metric=metric,
        n=one.n,
        questions=one.questions,
        value=sum(common.values()) / one.n,
        value_against=sum(other[row] for row in common) / one.n,
        lost=one.lost,
        gained=one.gained,
        difference=one.difference,
        low=one.low,
        high=one.high,
        p=one.p,
        p_holm=one.p,
    )


def arm_scores(found: list[ArmComparison]) -> list[Score]:
    """The comparisons as rows of results.json: difference with its 95 % interval, p-values."""
    rows = []
    for one in found:
        name = f"{one.metric}_minus_{split_arm(one.against)[1] or CLOSED_BOOK}"
        place = {"variant": one.variant, "task": one.task, "n": one.n}
        samples = f"samples/{one.variant}/{one.task}.jsonl"
        figures = ((name, one.difference), (f"{name}_p", one.p), (f"{name}_p_holm", one.p_holm))
        for metric, value in figures:
            bounds = {"low": one.low, "high": one.high} if metric == name else {}
            rows.append(
                Score.model_validate(
                    place | bounds | {"metric": metric, "value": value, "samples": samples}
                )
            )
    return rows
