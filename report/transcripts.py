"""Judge transcripts: what the judge was shown, and what it said in each order.

A judging's sample holds one pair: `{"id": "s1", "policy": "dpo", "reference": "base", "judge":
"…", "question": "…", "gold": "5", "answers": {"reference": "6", "policy": "2 + 3 = 5"}, "right":
{…}, "outcome": "policy", "orders": [{"first": "reference", "verdict": "2", "reason": "…"}, …]}`.
Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from report.entries import Answer, Entry, cut
from stemma.visible import visible

MARKS = {"1": "reference", "2": "policy", "3": "tie"}
"""The side that each verdict names as the better one."""


def is_judged(record: Mapping[str, Any]) -> bool:
    """Whether a sample is a judged pair."""
    return {"orders", "outcome", "answers", "policy", "reference"} <= record.keys()


def transcript(task: str, record: Mapping[str, Any]) -> Entry:
    """The entry of one judged pair: both answers, then each order with its verdict and reason."""
    names = {"policy": record["policy"], "reference": record["reference"]}
    right = record.get("right") or {}
    answers = [
        Answer(cut(record["answers"][side] or "(nothing)"), right.get(side, ""), {name: side})
        for side, name in names.items()
    ]
    gold = record.get("gold")
    return Entry(
        task=task,
        id=visible(str(record["id"])),
        group=visible(_ended(record["outcome"], names)),
        parts=(("Question", cut(record.get("question", ""))),),
        gold="" if gold is None else cut(str(gold)),
        answers=tuple(answers),
        after=_orders(record, names),
    )


def _ended(outcome: str, names: Mapping[str, str]) -> str:
    return f"{names[outcome]} won" if outcome in names else outcome


def _orders(record: Mapping[str, Any], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Each order as it was asked, headed by the judge and who stood first."""
    if not record["orders"]:
        return (("Judge", "both answers are the same: a tie that nobody was asked about"),)
    judge = visible(str(record.get("judge", "")))
    return tuple(
        (f"Judge {judge}, {visible(names[order['first']])} first", cut(_said(order, names)))
        for order in record["orders"]
    )


def _said(order: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The verdict in words, and the judge's reason."""
    mark = order.get("verdict")
    if mark is None:
        return f"no verdict: {order.get('problem') or 'not known why'}"
    side = MARKS[mark]
    better = "a tie" if side == "tie" else f"{names[side]} is better"
    reason = order.get("reason") or ""
    return f"{better} (verdict {mark}). {reason}".strip()
