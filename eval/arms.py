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

from eval.statistics import holm, share_interval
from eval.task import TaskScores
from eval.verdicts import compare
from stemma.comparisons import ArmComparison, Share, SharedRows
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


def shared_rows(scored: Mapping[str, ScoredTasks], seed: int) -> list[SharedRows]:
    """Each set of weights in all of its arms, on the rows that every arm has."""
    found = []
    for name in dict.fromkeys(split_arm(name)[0] for name in scored if split_arm(name)[1]):
        arms: dict[str, str] = {
            split_arm(one)[1] or "": one for one in scored if split_arm(one)[0] == name
        }
        places = dict.fromkeys(
            (task, metric)
            for one in arms.values()
            for task, of in scored[one].items()
            for metric in of.right
        )
        for task, metric in places:
            having = {arm: scored[one][task] for arm, one in arms.items() if task in scored[one]}
            having = {arm: of for arm, of in having.items() if metric in of.right}
            rows = set.intersection(*(set(of.right[metric]) for of in having.values()))
            if rows and len(having) > 1:
                values = {arm: _share(of, metric, rows, seed) for arm, of in having.items()}
                n = len(rows)
                found.append(SharedRows(weights=name, task=task, metric=metric, n=n, values=values))
    return found


def _share(found: TaskScores, metric: str, rows: set[str], seed: int) -> Share:
    hits = {row: right for row, right in found.right[metric].items() if row in rows}
    groups = [found.groups.get(row, row) for row in hits]
    low, high = share_interval(list(hits.values()), groups, seed)
    return Share(value=sum(hits.values()) / len(hits), low=low, high=high)


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
