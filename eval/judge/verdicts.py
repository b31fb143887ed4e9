"""The verdicts on a pair: one for each order it was shown in, and what they come to. Pure.

In the results a verdict is `1` (the reference is better), `2` (the policy is) or `3` (a tie),
whichever was shown first. A line of a samples file:

    {"id": "s1", "policy": "dpo", "reference": "base", "judge": "gpt-4o-mini-2024-07-18",
     "kind": "model", "question": "What is 2 + 3?", "gold": "5",
     "answers": {"reference": "6", "policy": "2 + 3 = 5"},
     "right": {"reference": "wrong", "policy": "right"},
     "characters": {"reference": 1, "policy": 9}, "identical": false,
     "outcome": "policy", "cost_usd": 0.00021,
     "orders": [{"first": "reference", "verdict": "2", "reason": "…", "problem": null,
                 "requests": 1, "cost_usd": 0.0001}, {"first": "policy", "verdict": "2", …}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from eval.judge.pairs import Pair
from stemma.answers import Verdict as Correctness
from stemma.answers import judge as judge_by_gold
from stemma.recipe.evaluation import Judging
from stemma.strict import Record

Side = Literal["reference", "policy"]
Mark = Literal["1", "2", "3"]
"""`1`: the reference is better, `2`: the policy is, `3`: a tie."""
Place = Literal["first", "second", "tie"]
Outcome = Literal["reference", "policy", "tie", "disagreement", "invalid"]
"""`disagreement`: both orders gave a verdict, and not the same; `invalid`: one gave none."""

_NAMED: dict[Mark, Literal["reference", "policy", "tie"]] = {
    "1": "reference",
    "2": "policy",
    "3": "tie",
}
_MARKS: dict[tuple[Side, Place], Mark] = {
    ("reference", "first"): "1",
    ("reference", "second"): "2",
    ("reference", "tie"): "3",
    ("policy", "first"): "2",
    ("policy", "second"): "1",
    ("policy", "tie"): "3",
}


def mark_of(first: Side, place: Place) -> Mark:
    """The verdict for a place, where `first` was the side that was shown first."""
    return _MARKS[first, place]


class OrderVerdict(Record):
    """The verdict on a pair as it was shown once."""

    first: Side
    """The side that was shown first."""
    verdict: Mark | None
    """None: no verdict could be had, which is no tie."""
    reason: str = ""
    """The judge's own words."""
    problem: str | None = None
    """Why there is no verdict."""
    requests: int = 0
    cost_usd: float | None = None

    @property
    def place(self) -> Place | None:
        """Where the better answer stood; None without a verdict."""
        if self.verdict is None:
            return None
        better = _NAMED[self.verdict]
        if better == "tie":
            return "tie"
        return "first" if better == self.first else "second"


class PairVerdict(Record):
    """One pair as it was judged: a line of a samples file."""

    id: str
    policy: str
    reference: str
    judge: str
    """The model as its server calls it, `scripted-expert`, or a person's name; empty where nobody
    was asked."""
    kind: Literal["model", "scripted", "person"]
    question: str
    gold: str | None
    answers: dict[Side, str]
    right: dict[Side, Correctness] | None
    """Each answer by the gold one; None where that is not known."""
    characters: dict[Side, int]
    identical: bool
    """Both answers are the same: a tie that nobody was asked about."""
    orders: list[OrderVerdict]
    outcome: Outcome
    cost_usd: float | None
    """Dollars; None without a price table."""

    @property
    def gold_side(self) -> Side | None:
        """The side that is right where the other is wrong; None where gold does not decide."""
        if self.right is None:
            return None
        found = (self.right["reference"], self.right["policy"])
        sides: dict[tuple[str, str], Side] = {
            ("right", "wrong"): "reference",
            ("wrong", "right"): "policy",
        }
        return sides.get(found)


def combine(orders: Sequence[OrderVerdict]) -> Outcome:
    """What the verdicts of all orders come to; without any, of identical answers, a tie."""
    found = {order.verdict for order in orders}
    if None in found:
        return "invalid"
    if len(found) > 1:
        return "disagreement"
    return next((_NAMED[mark] for mark in found if mark), "tie")


@dataclass(frozen=True)
class Judge:
    """Who judges."""

    name: str
    kind: Literal["model", "scripted", "person"]


def judged(
    pair: Pair, judging: Judging, judge: Judge, orders: Sequence[OrderVerdict]
) -> PairVerdict:
    """The record of a judged pair; without orders, of one whose answers are identical."""
    answers: dict[Side, str] = {"reference": pair.reference, "policy": pair.policy}
    costs = [order.cost_usd for order in orders]
    known = [cost for cost in costs if cost is not None]
    return PairVerdict(
        id=pair.id,
        policy=judging.policy,
        reference=judging.reference,
        judge=judge.name if orders else "",
        kind=judge.kind,
        question=pair.question,
        gold=pair.gold,
        answers=answers,
        right=_by_gold(pair, answers),
        characters={side: len(answer) for side, answer in answers.items()},
        identical=pair.is_identical,
        orders=list(orders),
        outcome=combine(orders),
        cost_usd=sum(known) if len(known) == len(costs) else None,
    )


def _by_gold(pair: Pair, answers: dict[Side, str]) -> dict[Side, Correctness] | None:
    if pair.gold is None:
        return None
    gold = pair.gold
    return {side: judge_by_gold(answer, gold, pair.choices) for side, answer in answers.items()}
