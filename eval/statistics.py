"""Intervals and paired tests, written out so that they can be checked by hand. Everything random takes a seed."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt

import numpy as np

from eval.measure import Metric, Scored

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution."""
RESAMPLES = 2000

Interval = tuple[float, float]


def wilson(share: float, n: int) -> Interval:
    """Wilson's 95 % interval of a share of n independent trials: honest at 0, at 1, and for small n."""
    centre = share + Z**2 / (2 * n)
    half = Z * sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def bootstrap_mean(values: Sequence[float], groups: Sequence[str], seed: int) -> Interval:
    """95 % percentile interval of the mean, resampling whole groups: the pairs of one question are not independent."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(groups))}
    index = np.array([codes[name] for name in groups])
    sums = np.bincount(index, weights=np.asarray(values, dtype=float))
    sizes = np.bincount(index).astype(float)
    picks = np.random.default_rng(seed).integers(len(codes), size=(RESAMPLES, len(codes)))
    means = sums[picks].sum(axis=1) / sizes[picks].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def mcnemar_p(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided exact McNemar test: how likely so lopsided a set of changed answers is if neither is better."""
    won = sum(a and not b for a, b in zip(first, second, strict=True))
    lost = sum(b and not a for a, b in zip(first, second, strict=True))
    changed = won + lost
    tail = sum(comb(changed, k) for k in range(min(won, lost) + 1))
    # Integers until the last division: 2.0 ** -changed underflows long before the counts get large.
    return float(min(1.0, 2 * tail / 2**changed))


def minus(found: Scored, chief: Scored, seed: int) -> list[Metric]:
    """For each yes-or-no metric the paired difference to the merged model (bootstrap interval) and McNemar's p."""
    metrics = []
    for name, right in found.right.items():
        ids = [row for row in right if row in chief.right[name]]
        ours, theirs = [right[row] for row in ids], [chief.right[name][row] for row in ids]
        changes = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
        interval = bootstrap_mean(changes, ids, seed)
        metrics.append(Metric(f"{name}_minus_merged", sum(changes) / len(changes), len(ids), *interval))
        metrics.append(Metric(f"{name}_minus_merged_p", mcnemar_p(ours, theirs), len(ids)))
    return metrics
