"""The gates that every format goes through: its drift from merged, and its tokenizer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stemma.gate import Budget, Gate, HandOver

if TYPE_CHECKING:
    from stemma.models import Agreement

Ids = Sequence[int]


def drift_gates(hand_over: HandOver, found: Agreement, budget: Budget) -> list[Gate]:
    """The gates of a copy's drift from the model it was made of."""
    n = found.positions
    return [
        hand_over.at_most("mean KL, nats per token", found.kl, budget.max_kl, n),
        hand_over.at_least("top-1 agreement", found.top1, budget.min_top1, n),
    ]


def token_gates(
    hand_over: HandOver, expected: Sequence[Ids], found: Sequence[Ids], bos: int | None
) -> list[Gate]:
    """The same ids for every conversation, each with one BOS, at its start.

    `bos` is None for a model that writes none.
    """
    n = len(found)
    wrong = sum(list(a) != list(b) for a, b in zip(expected, found, strict=True))
    same = hand_over.at_most("conversations tokenized differently", wrong, 0, n)
    if bos is None:
        return [same]
    without = sum(list(ids).count(bos) != 1 or ids[0] != bos for ids in found)
    name = "conversations without exactly one BOS at their start"
    return [same, hand_over.at_most(name, without, 0, n)]
