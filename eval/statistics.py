"""Intervals and paired tests, written out so that they can be checked by hand. Everything random
takes a seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
RESAMPLES = 2000
RESAMPLED_AT_ONCE = 100
"""Resamples that are added up together: 80 MB for 100,000 groups."""

Interval = tuple[float, float]


def wilson(share: float, n: int) -> Interval:
    """Wilson's 95 % interval of a share of n independent trials: honest at 0, at 1, and for small
    n."""
    centre = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def percentiles(values: Sequence[float] | NDArray[np.float64]) -> Interval:
    """The middle 95 % of resampled values."""
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def bootstrap_mean(values: Sequence[float], groups: Sequence[str], seed: int) -> Interval:
    """95 % percentile interval of the mean, resampling whole groups: the pairs of one question are
    not independent.

    Time: RESAMPLES x groups, of which the draws are made once for all metrics and variants.
    """
    codes = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    index = np.array([codes[name] for name in groups])
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    sizes = np.bincount(index).astype(float)
    totals = np.stack([sums, sizes], axis=1)
    drawn = _drawn(len(codes), seed)
    resampled = np.concatenate(
        [
            drawn[begin : begin + RESAMPLED_AT_ONCE].astype(float) @ totals
            for begin in range(0, RESAMPLES, RESAMPLED_AT_ONCE)
        ]
    )
    return percentiles(resampled[:, 0] / resampled[:, 1])


@lru_cache(maxsize=2)
def _drawn(groups: int, seed: int) -> NDArray[np.uint8]:
    """How often each group is drawn in each resample: [RESAMPLES, groups], 20 MB for 10,000.

    A count has the mean 1: one above 255 never comes (1 / 256! is below 1e-500).
    """
    rng = np.random.default_rng(seed)
    drawn = np.empty((RESAMPLES, groups), dtype=np.uint8)
    for row in drawn:
        row[:] = np.bincount(rng.integers(groups, size=groups), minlength=groups)
    return drawn


def share_interval(hits: Sequence[bool], groups: Sequence[str], seed: int) -> Interval:
    """95 % interval of a share whose trials come in groups, the pairs of a question.

    One trial a group: Wilson's interval. Several: whole groups are resampled, since as many trials
    as there are pairs would be too narrow, and as many as there are questions too wide. All hits
    alike, or one group, leave nothing to resample, and Wilson's interval over the groups stays
    honest.
    """
    share, distinct = sum(hits) / len(hits), len(set(groups))
    if distinct in (1, len(hits)) or share in (0, 1):
        return wilson(share, distinct)
    return bootstrap_mean([float(hit) for hit in hits], groups, seed)


def sign_flip_p(changes: Mapping[str, int]) -> float:
    """Two-sided exact p-value of a paired comparison, from each group's wins minus losses.

    If neither side is better, a group's change is as likely to be the opposite one. The sum of all
    changes under every choice of signs is counted exactly, by convolution; p is the share of
    choices whose sum is as far from zero as the one found. With one row a group this is McNemar's
    exact test.

    Changes of one size are one binomial, so time grows with the changes where each group has one
    row, and with their square only where groups changed by different sizes.
    """
    sizes = Counter(abs(change) for change in changes.values() if change)
    found = abs(sum(changes.values()))
    total = sum(size * count for size, count in sizes.items())
    chances = np.ones(1)  # of the sum of the positive changes: 0, 1, …
    for size, count in sizes.items():
        alike = np.zeros(size * count + 1)
        alike[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, alike)
    apart = np.abs(2 * np.arange(total + 1) - total)
    return float(min(1.0, chances[apart >= found].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for there being several (Holm, Scandinavian Journal of Statistics 6,
    1979, 65-70): the smallest times their number, the next times one less, never falling."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[index]))
        corrected[index] = largest
    return corrected
