"""The figures of a judging, from its verdicts. Pure; everything random takes the seed.

Pairs are independent: each question stands in one. `won` and so on count pairs; verdicts are single
orders of a pair.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eval.judge.length_control import RateAtEqualLength, rate_at_equal_length
from eval.judge.verdicts import OrderVerdict, Outcome, PairVerdict
from eval.statistics import RESAMPLES, Interval, bootstrap_mean, share_interval, wilson
from eval.task import Metric
from stemma.generator.requests import EMPTY

INDICATIVE_BELOW = 200
"""Questions, below which the rate at equal length is indicative only."""
WORTH: dict[Outcome, float] = {
    "policy": 1.0,
    "reference": 0.0,
    "tie": 0.5,
    "disagreement": 0.5,
}
"""What an outcome counts where ties count half. Invalid pairs count nowhere."""


def figures(verdicts: Sequence[PairVerdict], seed: int) -> list[Metric]:
    """All figures that the verdicts allow; one that would stand on nothing is left out."""
    valid = [one for one in verdicts if one.outcome != "invalid"]
    found = [*_outcomes(verdicts), Metric.share("identical", [one.identical for one in verdicts])]
    if valid:
        found = [*_rates(valid, seed), *_length_figures(valid, seed), *found]
    return [*found, *_one_order(verdicts), *_judge_figures(verdicts, seed)]


def _rates(valid: Sequence[PairVerdict], seed: int) -> list[Metric]:
    """The win rate over both orders, and with ties as half."""
    won = sum(one.outcome == "policy" for one in valid)
    lost = sum(one.outcome == "reference" for one in valid)
    n = len(valid)
    decided, halves = bootstrap_rates(won, lost, n, seed)
    half = (won + (n - won - lost) / 2) / n
    found = [Metric("win_rate_half_ties", half, n, *halves)]
    if won + lost:
        rate = won / (won + lost)
        found = [
            Metric("win_rate", rate, won + lost, *wilson(rate, won + lost)),
            Metric("win_rate_bootstrap", rate, n, *(decided or (None, None))),
            *found,
            Metric("sign_test_p", sign_test_p(won, lost), won + lost),
        ]
    return found


def bootstrap_rates(won: int, lost: int, n: int, seed: int) -> tuple[Interval | None, Interval]:
    """95 % percentile intervals of won / (won + lost) and of (won + ties / 2) / n.

    Pairs are resampled, which is to draw their outcomes from a multinomial. The first is None
    where a resample may hold no decided pair: more than one in a hundred did.
    """
    chances = [won / n, lost / n, (n - won - lost) / n]
    drawn = np.random.default_rng(seed).multinomial(n, chances, size=RESAMPLES)
    decided = drawn[:, 0] + drawn[:, 1]
    halves = np.percentile((drawn[:, 0] + drawn[:, 2] / 2) / n, [2.5, 97.5])
    some = decided > 0
    interval = None
    if some.mean() > 0.99:
        low, high = np.percentile(drawn[some, 0] / decided[some], [2.5, 97.5])
        interval = float(low), float(high)
    return interval, (float(halves[0]), float(halves[1]))


def sign_test_p(won: int, lost: int) -> float:
    """Two-sided exact p-value of the sign test: ties left out, either side as likely to win.

    The chance, of won + lost fair coins, of a majority at least as large.
    """
    n, fewer = won + lost, min(won, lost)
    tail, term = 0, 1
    for wins in range(fewer + 1):
        tail += term
        term = term * (n - wins) // (wins + 1)
    return min(1.0, 2 * tail / 2**n)


def _one_order(verdicts: Sequence[PairVerdict]) -> list[Metric]:
    """The report's formula on its own protocol: each pair once, the reference first.

    wins / (total - ties); a verdict that could not be had is in neither.
    """
    firsts = [order for one in verdicts for order in one.orders if order.first == "reference"]
    won = sum(order.verdict == "2" for order in firsts)
    lost = sum(order.verdict == "1" for order in firsts)
    if not won + lost:
        return []
    rate = won / (won + lost)
    return [Metric("win_rate_one_order", rate, won + lost, *wilson(rate, won + lost))]


def _outcomes(verdicts: Sequence[PairVerdict]) -> list[Metric]:
    """The share of pairs by outcome; together they are 1."""
    names: dict[str, Outcome] = {
        "won": "policy",
        "lost": "reference",
        "tied": "tie",
        "disagreed": "disagreement",
        "invalid": "invalid",
    }
    return [
        Metric.share(name, [one.outcome == outcome for one in verdicts])
        for name, outcome in names.items()
    ]


def _length_figures(valid: Sequence[PairVerdict], seed: int) -> list[Metric]:
    """Lengths in characters: their mean difference, whether the longer wins, the rate without."""
    names = [one.id for one in valid]
    excess = [one.characters["policy"] - one.characters["reference"] for one in valid]
    mean = sum(excess) / len(excess)
    found = [Metric("length_difference", mean, len(excess), *bootstrap_mean(excess, names, seed))]
    longer = [
        (characters > 0) == (one.outcome == "policy")
        for one, characters in zip(valid, excess, strict=True)
        if characters and one.outcome in ("policy", "reference")
    ]
    if longer:
        found.append(Metric.share("longer_wins", longer))
    if controlled := length_controlled(valid, seed):
        value, bounds = controlled.value, (controlled.low, controlled.high)
        found.append(Metric("win_rate_length_controlled", value, len(valid), *bounds))
    return found


def length_controlled(valid: Sequence[PairVerdict], seed: int) -> RateAtEqualLength | None:
    """The rate with ties as half at equal length; None where length alone decides."""
    worth = np.array([WORTH[one.outcome] for one in valid])
    excess = [one.characters["policy"] - one.characters["reference"] for one in valid]
    return rate_at_equal_length(worth, np.array(excess, dtype=float), seed)


def _judge_figures(verdicts: Sequence[PairVerdict], seed: int) -> list[Metric]:
    """What kind of judge it was: consistent, partial to a place, usable, of gold's opinion."""
    orders = [(one.id, order) for one in verdicts for order in one.orders]
    found = []
    both = [one for one in verdicts if len(one.orders) > 1 and one.outcome != "invalid"]
    if both:
        agree = [one.outcome != "disagreement" for one in both]
        found.append(Metric.share("consistency", agree))
    placed = [(name, order) for name, order in orders if order.place in ("first", "second")]
    if placed:
        found.append(
            _of_verdicts("first_wins", placed, [o.place == "first" for _, o in placed], seed)
        )
    if orders:
        invalid = [order.verdict is None for _, order in orders]
        found.append(_of_verdicts("invalid_verdicts", orders, invalid, seed))
        empty = sum(order.problem == EMPTY for _, order in orders)
        found.append(Metric("empty_replies", empty, len(orders)))
    known = [(one, order) for one in verdicts if one.gold_side for order in one.orders]
    known = [(one, order) for one, order in known if order.verdict is not None]
    if known:
        right = [order.verdict == _gold_mark(one) for one, order in known]
        named = [(one.id, order) for one, order in known]
        found.append(_of_verdicts("gold_agreement", named, right, seed))
    return found


def _gold_mark(one: PairVerdict) -> str:
    return "1" if one.gold_side == "reference" else "2"


def _of_verdicts(
    name: str, verdicts: Sequence[tuple[str, OrderVerdict]], hits: Sequence[bool], seed: int
) -> Metric:
    """A share of verdicts; the two of a pair are not independent."""
    interval = share_interval(hits, [pair for pair, _ in verdicts], seed)
    return Metric(name, sum(hits) / len(hits), len(hits), *interval)
