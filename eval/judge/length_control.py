"""The win rate at equal length: a logistic regression that takes out what length alone decides.

As in length-controlled AlpacaEval (Dubois et al. 2024, arXiv:2404.04475, section 3) without the
terms that need several models: logit P(policy wins) = a + b * tanh(d / s), where d is the
difference of the answers' lengths and s its standard deviation; the rate is the one at d = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000
STEPS = 60
"""Newton steps, at most."""
LARGEST = 30.0
"""A coefficient that grows beyond runs to infinity: length parts wins from losses."""
CELLS = 1_000_000
"""Resampled outcomes that are held at once: 8 MB, several times over."""
LOST_AT_MOST = 0.05
"""Share of resamples without a fit, above which no interval is given."""


@dataclass(frozen=True)
class RateAtEqualLength:
    """The rate, and the bounds of its 95 % interval."""

    value: float
    low: float | None
    high: float | None


def rate_at_equal_length(
    outcomes: Floats, differences: Floats, seed: int
) -> RateAtEqualLength | None:
    """The rate of outcomes (1: the policy wins, 0: it loses, 0.5: neither) at equal length.

    `differences`: the policy's length less the reference's, in any unit. None where length alone
    parts wins from losses, so that nothing is known of equal length. Takes time in proportion to
    pairs x RESAMPLES, and about 100 MB.
    """
    spread = float(differences.std())
    if spread == 0:
        value = float(outcomes.mean())
        return RateAtEqualLength(value, *_bounds(_counts(len(outcomes), seed), outcomes))
    lengths = np.tanh(differences / spread)
    best = _fit(outcomes, lengths, np.ones((1, len(outcomes))), np.zeros(2))[0]
    if np.isnan(best).any():
        return None
    fits = [_fit(outcomes, lengths, counts, best)[:, 0] for counts in _counts(len(outcomes), seed)]
    rates = _share(np.concatenate(fits))
    fitted = rates[~np.isnan(rates)]
    if len(fitted) < (1 - LOST_AT_MOST) * len(rates):
        return RateAtEqualLength(float(_share(best[0])), None, None)
    low, high = np.percentile(fitted, [2.5, 97.5])
    return RateAtEqualLength(float(_share(best[0])), float(low), float(high))


def _bounds(resamples: Iterator[Floats], outcomes: Floats) -> tuple[float, float]:
    means = [counts @ outcomes / len(outcomes) for counts in resamples]
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return float(low), float(high)


def _counts(n: int, seed: int) -> Iterator[Floats]:
    """RESAMPLES draws of n pairs with replacement, some at once: how often each pair is drawn."""
    rng = np.random.default_rng(seed)
    at_once = max(1, CELLS // n)
    for begin in range(0, RESAMPLES, at_once):
        draws = min(at_once, RESAMPLES - begin)
        picks = rng.integers(n, size=(draws, n)) + np.arange(draws)[:, None] * n
        yield np.bincount(picks.ravel(), minlength=draws * n).reshape(draws, n).astype(float)


def _share(logit: Any) -> Any:
    return 1 / (1 + np.exp(-np.clip(logit, -LARGEST, LARGEST)))


def _fit(outcomes: Floats, lengths: Floats, counts: Floats, start: Floats) -> Floats:
    """Intercept and slope by maximum likelihood, for each row of `counts`; NaN where none exist.

    Newton's method; rows that are done, or run away to infinity, are left alone.
    """
    found = np.tile(start, (len(counts), 1))
    going = np.arange(len(counts))
    for _ in range(STEPS):
        move = _newton_step(outcomes, lengths, counts[going], found[going])
        found[going] += np.clip(move, -4, 4)
        lost = ~np.isfinite(move).all(axis=1) | (abs(found[going]) > LARGEST).any(axis=1)
        found[going[lost]] = np.nan
        going = going[~lost & (abs(move).max(axis=1) > 1e-9)]
        if not len(going):
            return found
    found[going] = np.nan
    return found


def _newton_step(outcomes: Floats, lengths: Floats, counts: Floats, now: Floats) -> Floats:
    """The step from `now` towards the most likely coefficients; not finite where none exist."""
    chance = _share(now[:, :1] + now[:, 1:] * lengths)
    error = counts * (outcomes - chance)
    weight = counts * chance * (1 - chance)
    up, along = error.sum(axis=1), error @ lengths
    a, b, c = weight.sum(axis=1), weight @ lengths, weight @ lengths**2
    determinant = a * c - b * b
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.stack([c * up - b * along, a * along - b * up], axis=1) / determinant[:, None]
