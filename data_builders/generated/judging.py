"""Verdicts on two answers: by the gold answer where that decides, else by a judge in both orders.

Pure. A judge returns, for the answers in the order it was shown them,

    {"criteria": {"correctness": "AB", "relevance": "AB", "clarity": "A", "completeness": "AB",
     "conciseness": "A", "engagement": "None"}, "overall": "A"}

In a `Verdict`, and in a row's `meta`, both orders speak of the same answers: `"clarity": "A/A"` is
a judge that kept to its word, `"A/B"` one that twice preferred what it was shown first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stemma.errors import StageFailed
from stemma.strict import StrictRecord

Side = Literal["A", "B"]
Ties = Literal["drop", "first_order"]
"""A pair whose rankings disagree is dropped, or decided by the first (position bias and all)."""
Mark = Literal["A", "B", "AB", "None"]

DISAGREES = "judge disagrees with itself"
TIE = "tie"
NEITHER = "neither answer is correct"
AGAINST_GOLD = "judge contradicts the gold answer"
UNSTATED = "neither answer states the gold answer"
VERDICTS_TO_JUDGE_BY = 20
"""Verdicts alike, whatever was shown first, after which that is no accident.

A fair judge gives so many once in 500,000 times.
"""
_OTHER_ORDER = {"A": "B", "B": "A", "AB": "AB", "None": "None", "tie": "tie"}


# The names and docstrings of `Criteria` and `Ranking` are sent to the judge and are part of the
# ledger's keys: other words would have every ranking that was paid for be paid for again.
class Criteria(StrictRecord):
    """Who is better at what: one of them, both (`AB`) or neither."""

    correctness: Mark
    relevance: Mark
    clarity: Mark
    completeness: Mark
    conciseness: Mark
    engagement: Mark


class Ranking(StrictRecord):
    """The JSON a judge returns."""

    criteria: Criteria
    overall: Literal["A", "B", "tie"]


CRITERIA = tuple(Criteria.model_fields)


@dataclass(frozen=True)
class Verdict:
    """The joint result of both orders."""

    winner: Side | None
    problem: str | None
    """Why there is no winner."""
    marks: dict[str, str]
    """By criterion, and `overall`: the first order's mark, a slash, the second's."""


def by_gold(first: bool | None, second: bool | None) -> Side | None:
    """The right answer, where the other is wrong; None where the gold answer does not decide."""
    if first is True and second is False:
        return "A"
    if first is False and second is True:
        return "B"
    return None


def combine(first: Ranking, second: Ranking, ties: Ties = "drop") -> Verdict:
    """The verdict of two rankings; the second judged the same answers in the other order."""
    there = {"overall": first.overall, **first.criteria.model_dump()}
    back = {"overall": second.overall, **second.criteria.model_dump()}
    marks = {name: f"{mark}/{_OTHER_ORDER[back[name]]}" for name, mark in there.items()}
    if marks["correctness"] == "None/None":
        return Verdict(None, NEITHER, marks)
    problem = {"A/A": None, "B/B": None, "tie/tie": TIE}.get(marks["overall"], DISAGREES)
    if first.overall != "tie" and (problem is None or ties == "first_order"):
        return Verdict(first.overall, None, marks)
    return Verdict(None, problem, marks)


def neither_is_right(first: bool | None, second: bool | None) -> str | None:
    """Why no pair can be made, where no answer states the gold one: nothing else is ever chosen."""
    if first or second:
        return None
    return NEITHER if first is False and second is False else UNSTATED


class JudgeMonitor:
    """Stops a judge that is of no use, before all its verdicts are paid for.

    One that gives the same verdict whatever it is shown first never reads the answers.
    """

    def __init__(self) -> None:
        self._verdicts: Counter[str] = Counter()

    def record(self, *rankings: Ranking) -> None:
        """Notes verdicts. Raises StageFailed once there are enough and all of them are alike."""
        self._verdicts.update(ranking.overall for ranking in rankings)
        total = self._verdicts.total()
        if len(self._verdicts) > 1 or total < VERDICTS_TO_JUDGE_BY:
            return
        [verdict] = self._verdicts
        named = "a tie" if verdict == "tie" else f"answer {verdict}"
        raise StageFailed(
            f"the judge is of no use: all {total} verdicts are `{named}`, whichever answer was "
            "shown first; take another generator.model, or look at recipes/prompts/rank.jinja. "
            "What was paid for is kept"
        )


def judge_statistics(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How pairs were decided, and how biased the judge is.

    From rows as they are written, and the dropped ones that a judge ranked in vain. `first_place`
    is the share of single verdicts for the answer that was shown first: a fair judge's is 0.5.
    """
    judged = [row for row in rows if "decided" in row.get("meta", {})]
    pairs = [row for row in judged if "chosen" in row]
    ranked = [row["meta"] for row in judged if row["meta"]["decided"] == "judge"]
    agreement = {
        name: _share([_agrees(meta[name]) for meta in ranked]) for name in ("overall", *CRITERIA)
    }
    first_places = [is_first for meta in ranked for is_first in _first_places(meta["overall"])]
    return {
        "pairs": len(pairs),
        "by_gold": sum(row["meta"]["decided"] == "gold" for row in pairs),
        "chosen_first": _share([row["meta"]["chosen_first"] for row in pairs]),
        "chosen_longer": _share([_is_chosen_longer(row) for row in pairs]),
        "ranked": len(ranked),
        "agreement": agreement,
        "first_place": _share(first_places),
    }


def _is_chosen_longer(row: Mapping[str, Any]) -> bool:
    return len(row["chosen"].split()) > len(row["rejected"].split())


def _agrees(marks: str) -> bool:
    there, back = marks.split("/")
    return there == back


def _first_places(marks: str) -> list[bool]:
    """For each verdict that is no tie, whether it fell on the answer that was shown first.

    That is A in the first order, and B in the second, whose marks speak of the same answers.
    """
    there, back = marks.split("/")
    return [mark == first for mark, first in ((there, "A"), (back, "B")) if mark != "tie"]


def _share(found: Sequence[bool]) -> float | None:
    return round(sum(found) / len(found), 4) if found else None
