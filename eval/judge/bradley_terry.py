"""One rating for each variant from all its comparisons (Bradley and Terry 1952). Pure.

P(i beats j) = 1 / (1 + exp(r_j - r_i)). Ratings are log-odds with mean 0: a variant one above
another is expected to win 73 % of their decided pairs. Ties count half. To each comparison half a
win for either side is added, so that a variant which never lost has a rating at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.judge.figures import WORTH
from eval.judge.verdicts import PairVerdict

Floats = NDArray[np.float64]

RESAMPLES = 2000
STEPS = 10_000
ADDED = 0.5
"""Wins that each side of a comparison is given beforehand."""


@dataclass(frozen=True)
class Rating:
    """A variant's rating, with the bounds of its 95 % interval."""

    variant: str
    value: float
    low: float
    high: float
    n: int
    """Pairs it stood in."""


def rate(verdicts: Sequence[PairVerdict], seed: int) -> list[Rating]:
    """Every variant's rating, best first; invalid pairs are left out, pairs are resampled.

    Empty where some variants were never compared with the others, not even by way of a third: their
    ratings could not be set side by side.
    """
    valid = [one for one in verdicts if one.outcome != "invalid"]
    names = sorted({name for one in valid for name in (one.policy, one.reference)})
    compared: dict[tuple[str, str], list[float]] = {}
    for one in valid:
        compared.setdefault((one.policy, one.reference), []).append(WORTH[one.outcome])
    if not names or not is_connected(names, compared):
        return []
    place = {name: number for number, name in enumerate(names)}
    rng = np.random.default_rng(seed)
    wins = np.zeros((1 + RESAMPLES, len(names), len(names)))
    for (policy, reference), worth in compared.items():
        found = np.array([np.mean(worth), *_resampled(worth, rng)]) * len(worth)
        wins[:, place[policy], place[reference]] += found + ADDED
        wins[:, place[reference], place[policy]] += len(worth) - found + ADDED
    ratings = fit(wins)
    low, high = np.percentile(ratings[1:], [2.5, 97.5], axis=0)
    counts = {name: sum(name in (one.policy, one.reference) for one in valid) for name in names}
    rated = [
        Rating(name, float(ratings[0, i]), float(low[i]), float(high[i]), counts[name])
        for i, name in enumerate(names)
    ]
    return sorted(rated, key=lambda one: -one.value)


def _resampled(worth: Sequence[float], rng: np.random.Generator) -> Floats:
    """The mean worth of each of RESAMPLES draws of the comparison's pairs."""
    kinds = np.array([0.0, 0.5, 1.0])
    shares = [worth.count(kind) / len(worth) for kind in kinds]
    return np.asarray(rng.multinomial(len(worth), shares, size=RESAMPLES) @ kinds / len(worth))


def fit(wins: Floats) -> Floats:
    """Ratings by maximum likelihood, of each matrix of wins (row beats column).

    By Hunter's minorisation (2004, Annals of Statistics 32, 384-406), which always converges.
    """
    total = wins + wins.transpose(0, 2, 1)
    won = wins.sum(axis=2)
    strength = np.ones_like(won)
    for _ in range(STEPS):
        pairs = total / (strength[:, :, None] + strength[:, None, :])
        moved = won / pairs.sum(axis=2)
        moved /= np.exp(np.log(moved).mean(axis=1, keepdims=True))
        change = float(abs(np.log(moved / strength)).max())
        strength = moved
        if change < 1e-9:
            break
    return np.asarray(np.log(strength))


def is_connected(names: Sequence[str], compared: Mapping[tuple[str, str], object]) -> bool:
    """Whether every variant was compared with every other, if only by way of others."""
    reached = {names[0]}
    for _ in names:
        reached |= {name for pair in compared if reached & set(pair) for name in pair}
    return reached == set(names)
