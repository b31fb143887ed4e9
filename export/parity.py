"""What a gate compares: pure functions from logits and token ids to figures and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from export import Budget

Logits = NDArray[np.float32]
Ids = Sequence[int]
ROWS = 8
"""Of logits compared at once, in float64: 4 x 16 MB with Gemma's vocabulary."""


@dataclass(frozen=True)
class Gate:
    """One check of a hand-over."""

    gate: str
    variant: str
    step: str
    """What broke the model when the gate fails."""
    measured: float
    limit: float
    passed: bool
    n: int
    """The conversations, tokens or files it was measured on."""

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.variant}: {self.gate}: {self.measured:.4g} (limit {self.limit:g}, n = {self.n}) {verdict}"


@dataclass(frozen=True)
class Drift:
    """How far one model answers from another, over some tokens."""

    kl: float
    """Mean KL(reference || found) in nats a token."""
    top1: float
    """Share of tokens where both find the same token likeliest."""
    tokens: int


@dataclass(frozen=True)
class HandOver:
    """A step and the variant it made."""

    variant: str
    step: str

    def at_most(self, gate: str, measured: float, limit: float, n: int) -> Gate:
        # A NaN fails both comparisons, as it must.
        return Gate(gate, self.variant, self.step, float(measured), limit, measured <= limit, n)

    def at_least(self, gate: str, measured: float, limit: float, n: int) -> Gate:
        return Gate(gate, self.variant, self.step, float(measured), limit, measured >= limit, n)

    def drift(self, found: Drift, budget: Budget) -> list[Gate]:
        return [
            self.at_most("mean KL, nats per token", found.kl, budget.max_kl, found.tokens),
            self.at_least("top-1 agreement", found.top1, budget.min_top1, found.tokens),
        ]

    def tokens(self, expected: Sequence[Ids], found: Sequence[Ids], bos: int | None) -> list[Gate]:
        """The same ids for every conversation, each with one BOS, at its start (None: a model without one)."""
        wrong = sum(list(a) != list(b) for a, b in zip(expected, found, strict=True))
        same = self.at_most("conversations tokenized differently", wrong, 0, len(found))
        if bos is None:
            return [same]
        without = sum(list(ids).count(bos) != 1 or ids[0] != bos for ids in found)
        return [same, self.at_most("conversations without exactly one BOS at their start", without, 0, len(found))]


def drift_between(pairs: Iterable[tuple[Logits, Logits]]) -> Drift:
    """Of (reference, found) logits, a sample at a time. No tokens at all are an error."""
    kl, same, tokens = 0.0, 0, 0
    for reference, found in pairs:
        for begin in range(0, len(reference), ROWS):
            a, b = reference[begin : begin + ROWS], found[begin : begin + ROWS]
            kl += float(divergences(a, b).sum())
            same += int((a.argmax(-1) == b.argmax(-1)).sum())
        tokens += len(reference)
    return Drift(kl / tokens, same / tokens, tokens)


def divergences(reference: Logits, found: Logits) -> NDArray[np.float64]:
    """KL(reference || found) in nats, row by row."""
    p, q = log_softmax(reference), log_softmax(found)
    return np.asarray((np.exp(p) * (p - q)).sum(-1))


def log_softmax(logits: Logits) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))
