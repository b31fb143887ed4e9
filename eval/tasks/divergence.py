"""Divergence from merged: how far a variant's next-token predictions lie from those of the weights
it was made of, on the same answers.

A row: `{"id": "…", "question_id": "…", "prompt": "What is 2 + 3?", "chosen": "2 + 3 = 5", …}`. The
model reads prompt and chosen answer; behind each of the answer's first POSITIONS tokens its
distribution is kept, of which the KEPT likeliest tokens. One row a question.

KL(merged || variant) = sum of p log(p / q), over the tokens that both kept, and all others as one:
never more than the divergence of the whole distributions (data-processing inequality: Cover and
Thomas, Elements of Information Theory, section 2.8), and exact where the vocabulary has no more
than KEPT tokens. `kl_unseen`, merged's probability of all others, says how much is lumped
together.

A variant keeps rows x POSITIONS x KEPT x 8 bytes, a third more on disk: 11 MB for 64 rows, whatever
the vocabulary; all of Gemma's 256,000 tokens would take 1 GB. POSITIONS rows of the vocabulary are
held at once, twice.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.backends.interface import Backend, request_of
from eval.statistics import bootstrap_mean, share_interval
from eval.task import (
    MeasuredRow,
    Metric,
    RowSource,
    ScoreContext,
    Setting,
    Task,
    TaskScores,
    ids_digest,
)
from stemma.errors import StageFailed
from stemma.jsonl import read_rows
from stemma.rows import PreferenceRow
from stemma.templates import rendered

POSITIONS = 16
KEPT = 1024

NOTHING = 1e-6

Floats = NDArray[np.float32]
Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Position:
    """Two models behind the same tokens."""

    kl: float
    """KL(one || other), in nats."""
    same: bool
    """Whether both find the same token likeliest."""
    unseen: float
    """The probability that the one gives to tokens that not both kept."""


class DivergenceSample(MeasuredRow):
    """One answer: the likeliest tokens behind each of its first ones, likeliest first."""

    question_id: str
    positions: int
    tokens: str
    """[positions, tokens kept] as int32, little-endian, in base64."""
    log_probs: str
    """Their log-probabilities, as float32."""

    def read(self) -> tuple[Tokens, Floats]:
        """Tokens and log-probabilities, each [positions, tokens kept]."""
        tokens = np.frombuffer(base64.b64decode(self.tokens), "<i4")
        log_probs = np.frombuffer(base64.b64decode(self.log_probs), "<f4")
        return tokens.reshape(self.positions, -1), log_probs.reshape(self.positions, -1)


def read(path: Path, limit: int | None) -> tuple[list[PreferenceRow], int]:
    """The first row of each question, and how many rows were skipped."""
    rows = read_rows(path, PreferenceRow)
    first: dict[str, PreferenceRow] = {}
    for row in rows:
        first.setdefault(row.question_id, row)
    kept = list(first.values())[:limit]
    return kept, len(rows) - len(kept)


def measure(backend: Backend, setting: Setting[PreferenceRow]) -> Iterator[DivergenceSample]:
    """The predictions along each chosen answer. Raises StageFailed for a number that is none."""
    for row in setting.rows:
        request = request_of(backend, rendered(row, setting.template))
        answer = request.answers[0][:POSITIONS]
        start = len(request.prompt) - 1
        found = backend.distributions(request.prompt + answer[:-1], start)
        if not np.isfinite(found).all():
            raise StageFailed(f"eval: divergence: row {row.id}: predictions that are not finite")
        tokens, log_probs = likeliest(found, KEPT)
        yield DivergenceSample(
            id=row.id,
            question_id=row.question_id,
            ids_digest=ids_digest(request.prompt, answer),
            positions=len(tokens),
            tokens=base64.b64encode(tokens.astype("<i4").tobytes()).decode(),
            log_probs=base64.b64encode(log_probs.astype("<f4").tobytes()).decode(),
        )


def likeliest(log_probs: Floats, count: int) -> tuple[Tokens, Floats]:
    """The `count` likeliest tokens of each row and their values, likeliest first; of equal ones the
    lower number."""
    count = min(count, log_probs.shape[1])
    chosen = np.argpartition(-log_probs, count - 1, axis=1)[:, :count]
    chosen.sort(axis=1)
    values = np.take_along_axis(log_probs, chosen, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    tokens = np.take_along_axis(chosen, order, axis=1).astype(np.int32)
    return tokens, np.take_along_axis(values, order, axis=1)


def divergence(one: DivergenceSample, other: DivergenceSample) -> list[Position]:
    """`other` against `one`, position by position of the same answer."""
    tokens, log_probs = one.read()
    others, theirs = other.read()
    return [
        _position((tokens[i], log_probs[i]), (others[i], theirs[i])) for i in range(one.positions)
    ]


def _position(one: tuple[Tokens, Floats], other: tuple[Tokens, Floats]) -> Position:
    _, here, there = np.intersect1d(one[0], other[0], assume_unique=True, return_indices=True)
    p_log = one[1][here].astype(np.float64)
    q_log = other[1][there].astype(np.float64)
    p = np.exp(p_log)
    kl = float((p * (p_log - q_log)).sum())
    p_others = 1.0 - float(p.sum())
    q_others = 1.0 - float(np.exp(q_log).sum())
    # Rounding leaves some 1e-6 of nothing where all tokens are kept.
    if p_others > NOTHING and q_others > NOTHING:
        kl += p_others * log(p_others / q_others)
    return Position(max(kl, 0.0), bool(one[0][0] == other[0][0]), max(p_others, 0.0))


def score(samples: list[DivergenceSample], context: ScoreContext[DivergenceSample]) -> TaskScores:
    """Means over all positions, with whole questions resampled for their intervals."""
    merged = {sample.id: sample for sample in context.reference}
    found = {sample.id: divergence(merged[sample.id], sample) for sample in samples}
    positions = [one for row in found.values() for one in row]
    groups = [sample.question_id for sample in samples for _ in found[sample.id]]
    n, kl = len(positions), [one.kl for one in positions]
    same = [one.same for one in positions]
    agreement = share_interval(same, groups, context.seed)
    metrics = [
        Metric("kl", mean(kl), n, *bootstrap_mean(kl, groups, context.seed)),
        Metric("kl_p99", float(np.percentile(kl, 99)), n),
        Metric("kl_unseen", mean(one.unseen for one in positions), n),
        Metric("top1_agreement", mean(same), n, *agreement),
    ]
    shown = [_shown(sample, found[sample.id]) for sample in samples]
    facts = {"answers": len(samples), "positions": n, "tokens kept of each": KEPT}
    return TaskScores(metrics, shown, {}, facts)


def _shown(sample: DivergenceSample, found: list[Position]) -> dict[str, Any]:
    """A row as the samples file shows it: without the distributions."""
    return {
        "id": sample.id,
        "ids_digest": sample.ids_digest,
        "question_id": sample.question_id,
        "positions": len(found),
        "kl": mean(one.kl for one in found),
        "top1_agreement": mean(one.same for one in found),
        "unseen": mean(one.unseen for one in found),
    }


TASK = Task(RowSource("dpo", read), DivergenceSample, measure, score, uses_merged=True)
