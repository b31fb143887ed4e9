"""Which of two answers is better: by the gold answer where that decides, otherwise by a judge, in both orders. Pure.

A judge returns, for the answers in the order it was shown them,

    {"criteria": {"correctness": "AB", "relevance": "AB", "clarity": "A", "completeness": "AB", "conciseness": "A",
     "engagement": "None"}, "overall": "A"}

In a `Verdict`, and in a row's `meta`, both orders speak of the same answers: `"clarity": "A/A"` is a judge that kept
to its word, `"A/B"` one that twice preferred what it was shown first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from stemma.errors import StageFailed

Side = Literal["A", "B"]
Ties = Literal["drop", "first_order"]
"""What becomes of a pair whose two rankings disagree: dropped, or decided by the first order, position bias and all."""
Mark = Literal["A", "B", "AB", "None"]

DISAGREES, TIE, NEITHER = "judge disagrees with itself", "tie", "neither answer is correct"
AGAINST_GOLD = "judge contradicts the gold answer"
UNSTATED = "neither answer states the gold answer"
ENOUGH_VERDICTS = 20
"""So many verdicts alike, whatever was shown first: a fair judge gives them once in 500,000 times."""
_OTHER_ORDER = {"A": "B", "B": "A", "AB": "AB", "None": "None", "tie": "tie"}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Criteria(_Strict):
    """Who is better at what: one of them, both (`AB`) or neither."""

    correctness: Mark
    relevance: Mark
    clarity: Mark
    completeness: Mark
    conciseness: Mark
    engagement: Mark


class Ranking(_Strict):
    """The JSON a judge returns."""

    criteria: Criteria
    overall: Literal["A", "B", "tie"]


CRITERIA = tuple(Criteria.model_fields)


@dataclass(frozen=True)
class Verdict:
    """What both orders say. `winner` is None where `problem` says why there is none."""

    winner: Side | None
    problem: str | None
    marks: dict[str, str]
    """By criterion, and `overall`: the first order's mark, a slash, the second's."""


def by_gold(first: bool | None, second: bool | None) -> Side | None:
    """The right answer against the wrong one; None where the gold answer does not decide."""
    decided: dict[tuple[bool | None, bool | None], Side] = {(True, False): "A", (False, True): "B"}
    return decided.get((first, second))


def combine(first: Ranking, second: Ranking, ties: Ties = "drop") -> Verdict:
    """The verdict of two rankings. The second judged the same answers shown the other way round."""
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
    """Why no pair can be made, where the gold answer is known and no answer states it: nothing else is ever chosen."""
    if first or second:
        return None
    return NEITHER if first is False and second is False else UNSTATED


class JudgeWatch:
    """Notices a judge that is of no use before all its verdicts are paid for: both orders of every pair get the same
    verdict, so it never reads what it is shown."""

    def __init__(self) -> None:
        self._verdicts: Counter[str] = Counter()

    def see(self, *rankings: Ranking) -> None:
        """Raises StageFailed once there are enough verdicts and all of them are alike."""
        self._verdicts.update(ranking.overall for ranking in rankings)
        if len(self._verdicts) > 1 or self._verdicts.total() < ENOUGH_VERDICTS:
            return
        [verdict] = self._verdicts
        said = "a tie" if verdict == "tie" else f"answer {verdict}"
        raise StageFailed(
            f"the judge is of no use: all {self._verdicts.total()} verdicts are `{said}`, whichever answer was shown "
            "first; take another generator.model, or look at recipes/prompts/rank.jinja. What was paid for is kept"
        )


def judge_statistics(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """How pairs were decided, and how biased the judge is, from rows as they are written, and those it ranked in vain.

    `first_place` is the share of single verdicts for the answer that was shown first: a fair judge's is 0.5.
    """
    judged = [row for row in rows if "decided" in row.get("meta", {})]
    pairs = [row for row in judged if "chosen" in row]
    ranked = [row["meta"] for row in judged if row["meta"]["decided"] == "judge"]
    return {
        "pairs": len(pairs),
        "by_gold": sum(row["meta"]["decided"] == "gold" for row in pairs),
        "chosen_first": _share([row["meta"]["chosen_first"] for row in pairs]),
        "chosen_longer": _share([len(row["chosen"].split()) > len(row["rejected"].split()) for row in pairs]),
        "ranked": len(ranked),
        "agreement": {name: _share([_agrees(meta[name]) for meta in ranked]) for name in ("overall", *CRITERIA)},
        "first_place": _share([is_first for meta in ranked for is_first in _first_places(meta["overall"])]),
    }


def _agrees(marks: str) -> bool:
    there, back = marks.split("/")
    return there == back


def _first_places(marks: str) -> list[bool]:
    """For each verdict that is no tie, whether it fell on what was shown first: A there, B on the way back."""
    there, back = marks.split("/")
    return [mark == first for mark, first in ((there, "A"), (back, "B")) if mark != "tie"]


def _share(found: Sequence[bool]) -> float | None:
    return round(sum(found) / len(found), 4) if found else None
