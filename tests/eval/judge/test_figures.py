from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import binomtest

from eval.judge.figures import bootstrap_rates, figures, sign_test_p
from eval.judge.verdicts import PairVerdict
from eval.task import Metric
from tests.eval.judge.judges import pair_verdict

WON, LOST, TIED, SPLIT, INVALID = ("2", "2"), ("1", "1"), ("3", "3"), ("1", "2"), ("2", None)


def judgings(*groups: tuple[int, tuple[str | None, ...]]) -> list[PairVerdict]:
    """So many pairs of each kind of marks."""
    marks = [one for count, found in groups for one in [found] * count]
    return [pair_verdict(f"s{number}", found) for number, found in enumerate(marks)]


def by_name(metrics: list[Metric]) -> dict[str, Metric]:
    assert not [name for name, n in Counter(m.name for m in metrics).items() if n > 1]
    return {metric.name: metric for metric in metrics}


def test_the_reports_formula_and_ties_as_half_by_hand() -> None:
    found = by_name(figures(judgings((5, WON), (3, LOST), (2, TIED), (4, SPLIT), (1, INVALID)), 42))
    assert (found["win_rate"].value, found["win_rate"].n) == (5 / 8, 8)  # wins / (total - ties)
    assert (found["win_rate_half_ties"].value, found["win_rate_half_ties"].n) == (8 / 14, 14)
    # Shown once, the reference first: won 5 and the invalid pair's first order; lost 3 and 4 splits.
    assert (found["win_rate_one_order"].value, found["win_rate_one_order"].n) == (6 / 13, 13)
    shares = {name: found[name].value for name in ("won", "lost", "tied", "disagreed", "invalid")}
    assert shares == {
        "won": 5 / 15,
        "lost": 3 / 15,
        "tied": 2 / 15,
        "disagreed": 4 / 15,
        "invalid": 1 / 15,
    }
    assert sum(shares.values()) == pytest.approx(1)
    assert {found[name].n for name in shares} == {15}


def test_a_verdict_that_could_not_be_had_is_no_tie() -> None:
    with_invalid = by_name(figures(judgings((3, WON), (1, LOST), (6, INVALID)), 42))
    without = by_name(figures(judgings((3, WON), (1, LOST)), 42))
    for name in ("win_rate", "win_rate_half_ties", "sign_test_p", "consistency"):
        assert with_invalid[name] == without[name]
    assert with_invalid["invalid_verdicts"].value == 6 / 20


def test_empty_replies_of_the_judge_are_counted() -> None:
    found = by_name(figures(judgings((3, WON), (6, INVALID)), 42))["empty_replies"]
    assert (found.value, found.n) == (6, 18)
    assert by_name(figures(judgings((3, WON)), 42))["empty_replies"].value == 0


def test_the_100_questions_of_the_report_with_20_ties() -> None:
    """60 % of 80 decided: 49 to 70 %, as FACTS says."""
    found = by_name(figures(judgings((48, WON), (32, LOST), (20, TIED)), 42))["win_rate"]
    assert (found.value, found.n) == (0.6, 80)
    exact = binomtest(48, 80).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(exact.low), pytest.approx(exact.high))
    assert (round(found.low or 0, 2), round(found.high or 0, 2)) == (0.49, 0.7)


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (5, 5), (60, 40), (3, 40), (900, 1100)])
def test_the_sign_test_against_scipy(won: int, lost: int) -> None:
    expected = binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert sign_test_p(won, lost) == pytest.approx(expected, rel=1e-9)
    assert sign_test_p(lost, won) == sign_test_p(won, lost)


def test_the_bootstrap_against_drawing_pairs_one_by_one() -> None:
    won, lost, n = 30, 20, 80
    outcomes = np.array([1.0] * won + [0.0] * lost + [0.5] * (n - won - lost))
    rng = np.random.default_rng(7)
    drawn = outcomes[rng.integers(n, size=(20_000, n))]
    decided = (drawn == 1).sum(axis=1) / (drawn != 0.5).sum(axis=1)
    rate, halves = bootstrap_rates(won, lost, n, 42)
    assert rate == pytest.approx(tuple(np.percentile(decided, [2.5, 97.5])), abs=0.02)
    assert halves == pytest.approx(tuple(np.percentile(drawn.mean(axis=1), [2.5, 97.5])), abs=0.02)
    assert bootstrap_rates(won, lost, n, 42) == (rate, halves), "the seed decides"
    assert bootstrap_rates(1, 0, 40, 42)[0] is None, "every third resample decides nothing"


def test_position_and_consistency() -> None:
    # ("1", "2") names the answer that was shown first, twice.
    found = by_name(figures(judgings((6, SPLIT), (3, WON), (1, TIED)), 42))
    assert (found["consistency"].value, found["consistency"].n) == (0.4, 10)
    # Of 18 verdicts for a place the splits' 12 and one of each win's two name the first.
    assert (found["first_wins"].value, found["first_wins"].n) == (15 / 18, 18)


def test_length() -> None:
    verdicts = [
        pair_verdict("a", WON, (10, 30)),
        pair_verdict("b", WON, (10, 14)),
        pair_verdict("c", LOST, (10, 12)),
        pair_verdict("d", LOST, (20, 20)),  # of equal length: neither is longer
        pair_verdict("e", TIED, (10, 40)),
        pair_verdict("f", INVALID, (10, 1000)),
    ]
    found = by_name(figures(verdicts, 42))
    difference = found["length_difference"]
    assert (difference.value, difference.n) == ((20 + 4 + 2 + 0 + 30) / 5, 5)
    assert (found["longer_wins"].value, found["longer_wins"].n) == (2 / 3, 3)


def test_agreement_with_gold_counts_verdicts_where_one_side_alone_is_right() -> None:
    right_policy = {"reference": "It is 3.", "policy": "It is 4.", "gold": "4"}
    right_reference = {"reference": "It is 4.", "policy": "It is 3.", "gold": "4"}
    both_right = {"reference": "4", "policy": "It is 4.", "gold": "4"}
    verdicts = [
        pair_verdict("a", WON, **right_policy),
        pair_verdict("b", SPLIT, **right_policy),
        pair_verdict("c", TIED, **right_reference),
        pair_verdict("d", ("1", None), **right_reference),
        pair_verdict("e", WON, **both_right),
        pair_verdict("f", WON),  # no gold
    ]
    found = by_name(figures(verdicts, 42))["gold_agreement"]
    # a: two of two; b: one of two; c: none of two (a tie names nobody); d: the one there is.
    assert (found.value, found.n) == (4 / 7, 7)


def test_identical_answers_are_ties_that_say_nothing_of_the_judge() -> None:
    same = [pair_verdict(f"i{i}", (), reference="4", policy="4") for i in range(3)]
    found = by_name(figures([*same, *judgings((2, WON), (1, LOST))], 42))
    assert found["tied"].value == found["identical"].value == 0.5
    assert found["win_rate_half_ties"].value == 3.5 / 6
    assert (found["consistency"].n, found["invalid_verdicts"].n) == (3, 6)


def test_nothing_is_scored_on_nothing() -> None:
    same = [pair_verdict("i", (), reference="4", policy="4")]
    names = set(by_name(figures(same, 42)))
    assert not names & {"win_rate", "win_rate_one_order", "sign_test_p", "consistency"}
    assert {"tied", "win_rate_half_ties"} <= names
    invalid = by_name(figures(judgings((4, (None, None))), 42))
    assert set(invalid) == {
        *("won", "lost", "tied", "disagreed", "invalid", "identical", "invalid_verdicts"),
        "empty_replies",
    }
    assert invalid["invalid"].value == invalid["invalid_verdicts"].value == 1
