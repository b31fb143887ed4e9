"""Intervals and paired tests, written out so that they can be checked by hand. Everything random
takes a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
RESAMPLES = 2000
PICKS = 1 << 20
"""Groups drawn at once, at most: 25 MB."""

Interval = tuple[float, float]


def wilson(share: float, n: int) -> Interval:
    """Wilson's 95 % interval of a share of n independent trials: honest at 0, at 1, and for small
    n."""
    centre = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def bootstrap_mean(values: Sequence[float], groups: Sequence[str], seed: int) -> Interval:
    """95 % percentile interval of the mean, resampling whole groups: the pairs of one question are
    not independent."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    index = np.array([codes[name] for name in groups])
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    sizes = np.bincount(index).astype(float)
    draw = np.random.default_rng(seed)
    means: list[float] = []
    while len(means) < RESAMPLES:  # some resamples at once: all of 10^5 groups would be gigabytes
        count = min(RESAMPLES - len(means), max(1, PICKS // len(codes)))
        picks = draw.integers(len(codes), size=(count, len(codes)))
        means += (sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)).tolist()
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


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
    """
    sizes = [abs(change) for change in changes.values() if change]
    found = abs(sum(changes.values()))
    middle = sum(sizes)
    chances = np.ones(1)
    for size in sizes:
        wider = np.zeros(len(chances) + 2 * size)
        wider[: len(chances)] += chances / 2
        wider[2 * size :] += chances / 2
        chances = wider
    apart = np.abs(np.arange(-middle, middle + 1))
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
