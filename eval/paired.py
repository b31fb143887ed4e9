"""Two models on the same questions: how much worse the one can be, by what they answer differently.

Of n questions one model lost some that the other got right, and gained some that the other got
wrong. `least_difference` is the exact one-sided confidence bound of the difference of their
accuracies, by inverting the exact unconditional test of Hsueh, Liu and Chen (Biometrics 57, 2001,
478-483): its statistic is Tango's score (Statistics in Medicine 17, 1998, 891-908), and its p-value
the largest over the unknown share of gained questions, so it never promises more than it holds,
however few questions there are. A bootstrap of n equal answers says "no difference"; this says how
much n questions leave open.

Time and memory: a p-value takes at most SHARES x n values, from BANDED_FROM questions on about
SHARES x 20 sqrt(n); a bound takes about ten p-values. One comparison, four bounds, takes 0.03 s of
CPU for 150 questions, 0.15 for 2,000.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor, log, sqrt
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import bdtrc, gammaln, stdtrit

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

SHARES = 128
"""Values of the unknown share at which the p-value is taken, denser near 0, where it bends: what is
found is within 3 % of the largest p-value."""
RESOLUTION = 1e-5
"""Bounds are so far on the safe side."""
EXACT_UP_TO = 2000
"""Questions above which the score's normal distribution is taken: a p-value may there be a tenth of
itself too small (0.050 for 0.055)."""
BANDED_FROM = 500
"""Questions from which on shares are taken in parts, each over the counts that come at all."""
TINY = 1e-300


@dataclass(frozen=True)
class Paired:
    """Questions answered by both models: how many, and how many of them only one got right."""

    n: int
    lost: int
    """Right by the baseline alone."""
    gained: int
    """Right by the other alone."""

    @property
    def difference(self) -> float:
        """The difference of the two accuracies, baseline subtracted."""
        return (self.gained - self.lost) / self.n


def score(n: int, lost: Counts, gained: Counts, difference: float) -> Values:
    """Tango's score of the hypothesis that the true difference is `difference`: about normal if it
    is, and higher the more it looks larger than that.

    The share of lost questions in its variance is the likeliest one under the hypothesis.
    """
    linear = (2 * n + lost - gained) * difference - lost - gained
    constant = -lost * difference * (1 - difference)
    root = np.sqrt(np.maximum(linear**2 - 8 * n * constant, 0.0))
    share = (root - linear) / (4 * n)
    variance = np.maximum(n * (2 * share + difference * (1 - difference)), 0.0)
    excess = gained - lost - n * difference
    # No variance: nothing changed and nothing should have, or what was found cannot happen.
    certain = np.where(np.abs(excess) < 1e-9, 0.0, np.copysign(np.inf, excess))
    return np.where(variance > 1e-12, excess / np.sqrt(np.maximum(variance, 1e-12)), certain)


def p_at_least(found: Paired, difference: float) -> float:
    """The one-sided p-value against "the true difference is `difference` or less" (-1 to 1).

    The chance, if that were so, of an outcome that looks at least as good as the one found: the
    largest over all shares of changed questions.
    """
    here = float(score(found.n, np.array(found.lost), np.array(found.gained), difference))
    if found.n > EXACT_UP_TO:
        return NormalDist().cdf(-here)
    least = _least_gained(found.n, here, difference)
    # Changed questions, as a share of all: at least as many as the difference takes.
    spread = np.linspace(0.0, 1.0, SHARES) ** 2
    shares = abs(difference) + spread * (1 - abs(difference))
    return float(min(1.0, _chances(found.n, least, shares, difference).max()))


def _least_gained(n: int, here: float, difference: float) -> Counts:
    """For 0 to n changed questions the fewest gained ones that look as good as `here`; one more
    than all of them where none does. By halving: the score rises with what is gained."""
    changed = np.arange(n + 1)
    below = np.full(n + 1, -1)
    enough = changed + 1
    while (enough - below > 1).any():
        middle = np.minimum((below + enough) // 2, changed)
        # Equal outcomes may differ by rounding.
        holds = score(n, changed - middle, middle, difference) >= here - 1e-9
        is_open = enough - below > 1
        enough = np.where(is_open & holds, middle, enough)
        below = np.where(is_open & ~holds, middle, below)
    return enough


def _chances(n: int, least: Counts, shares: Values, difference: float) -> Values:
    """For each share of changed questions, the chance of an outcome with `least` gained ones or
    more, where the true difference is `difference`."""
    # Kept off 0 and 1, where logarithms end.
    share = np.clip(shares, 1e-300, 1 - 1e-15)
    parts = np.array_split(share, max(1, round(sqrt(n) / 2))) if n >= BANDED_FROM else [share]
    return np.concatenate([_chances_of_some(n, least, part, difference) for part in parts])


def _chances_of_some(n: int, least: Counts, some: Values, difference: float) -> Values:
    """The same for neighbouring shares, over the numbers of changed questions that come at all.

    By Bernstein's inequality those left out have together a chance below 1e-20.
    """
    share = some[:, None]
    gain = np.clip((share + difference) / (2 * share), 1e-300, 1 - 1e-15)
    spread = 9 * np.sqrt(n * some * (1 - some)) + 40
    begin = max(0, floor(float((n * some - spread).min())))
    end = min(n, ceil(float((n * some + spread).max())))
    changed = np.arange(begin, end + 1)
    weights = _binomial(np.array(n), changed, share)
    # With one more changed question the tail from `least` on grows by the outcomes one short of it
    # that gain; where `least` rises too, it loses those that were just enough and gain nothing.
    before, fewest = changed[:-1], least[begin:end]
    rises = np.diff(least[begin : end + 1]) > 0
    outcomes = _binomial(before, np.where(rises, fewest, fewest - 1), gain)
    steps = outcomes * np.where(rises, gain - 1, gain)
    first = bdtrc(float(least[begin] - 1), begin, gain)
    tails = first + np.cumsum(steps, axis=1)
    found: Values = weights[:, 0] * first[:, 0] + (weights[:, 1:] * tails).sum(axis=1)
    return found


def _binomial(n: Counts, count: Counts, share: Values) -> Values:
    """Binomial probabilities of `count` of n, a row for each share; 0 for impossible counts."""
    possible = (count >= 0) & (count <= n)
    k = np.where(possible, count, 0)
    ways = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    ways = np.where(possible, ways, -np.inf)
    # Chances below 1e-300 are none: numbers that small are slow to compute with.
    chances: Values = np.exp(ways + k * np.log(share) + (n - k) * np.log1p(-share))
    return chances


@lru_cache(maxsize=1024)  # variants that hardly differ have the same counts on many tasks
def least_difference(found: Paired, level: float) -> float:
    """The lower confidence bound of the difference, one-sided at `level`: what `p_at_least` just
    rejects. -1 where n says nothing."""

    def excess(difference: float) -> float:
        return log(max(p_at_least(found, difference), TINY)) - log(1 - level)

    if found.lost == found.n:
        return -1.0
    bound = float(brentq(excess, -1.0, found.difference, xtol=RESOLUTION / 2))
    return max(-1.0, bound - RESOLUTION)


def bounds(changes: Sequence[int], groups: Sequence[str], level: float) -> tuple[float, float]:
    """Lower and upper bound of the mean change, each one-sided at `level`."""
    low = least_difference(counted(changes, groups, level), level)
    negated = [-change for change in changes]
    return low, -least_difference(counted(negated, groups, level), level)


def counted(changes: Sequence[int], groups: Sequence[str], level: float) -> Paired:
    """The counts of changes (1 gained, -1 lost, 0 alike), as many as they are worth.

    Rows of one group are not independent: all counts are divided by the design effect (Rao and
    Scott, Biometrics 48, 1992, 577-585), and rounded against the model. With one row a group
    nothing is divided.
    """
    effect = design_effect(changes, groups, level)
    n = max(1, floor(len(changes) / effect))
    lost = min(n, ceil(changes.count(-1) / effect))
    return Paired(n, lost, min(n - lost, floor(changes.count(1) / effect)))


def design_effect(changes: Sequence[int], groups: Sequence[str], level: float) -> float:
    """How many rows are worth one independent row: the variance of the mean change over groups, by
    the one over rows, at least 1.

    Nothing changed, or one group: as if all rows of a group were one. With few groups the variance
    is itself uncertain: Student's t in the place of the normal quantile.
    """
    sums, sizes = _by_group(changes, groups)
    if len(sizes) == len(changes):
        return 1.0
    n, mean = len(changes), sum(changes) / len(changes)
    worst = float((sizes**2).sum() / n)
    by_rows = sum((change - mean) ** 2 for change in changes)
    if len(sizes) == 1 or not by_rows:
        return worst
    unbiased = len(sizes) / (len(sizes) - 1)
    by_groups = float(((sums - sizes * mean) ** 2).sum()) * unbiased
    widening = stdtrit(len(sizes) - 1, level) / NormalDist().inv_cdf(level)
    return float(max(1.0, min(worst, by_groups / by_rows) * widening**2))


def _by_group(changes: Sequence[int], groups: Sequence[str]) -> tuple[Values, Values]:
    """The sum of changes and the number of rows of each group."""
    codes: Mapping[str, int] = {name: i for i, name in enumerate(dict.fromkeys(groups))}
    index = np.array([codes[name] for name in groups])
    sums = np.bincount(index, weights=np.asarray(changes, dtype=float)).astype(np.float64)
    sizes = np.bincount(index).astype(np.float64)
    return sums, sizes
