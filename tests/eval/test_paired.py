"""Exact bounds of paired differences: coverage by enumeration, the score by an optimiser, clusters by
simulation."""

from __future__ import annotations

from math import comb, log, sqrt

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, norm

from eval.paired import (
    Paired,
    _chances,
    _least_gained,
    bounds,
    counted,
    design_effect,
    least_difference,
    p_at_least,
    score,
)


def z_of(n: int, lost: int, gained: int, difference: float) -> float:
    return float(score(n, np.array(lost), np.array(gained), difference))


@pytest.mark.parametrize(
    ("n", "lost", "gained", "difference"),
    [(150, 10, 15, -0.02), (44, 1, 0, 0.1), (60, 13, 8, -0.3), (20, 0, 5, 0.05)],
)
def test_the_score_is_that_of_the_likeliest_shares(
    n: int, lost: int, gained: int, difference: float
) -> None:
    """The shares under the hypothesis, found by an optimiser instead of Tango's formula."""

    def unlikely(share: float) -> float:
        chances = (share, share + difference, 1 - 2 * share - difference)
        counts = (lost, gained, n - lost - gained)
        return -sum(
            count * log(chance) for count, chance in zip(counts, chances, strict=True) if count
        )

    lowest, highest = max(0.0, -difference) + 1e-12, (1 - difference) / 2 - 1e-12
    share = float(minimize_scalar(unlikely, bounds=(lowest, highest), options={"xatol": 1e-12}).x)
    variance = (2 * share + difference - difference**2) / n
    expected = ((gained - lost) / n - difference) / sqrt(variance)
    assert z_of(n, lost, gained, difference) == pytest.approx(expected, rel=1e-4)


def test_without_a_changed_answer_the_bound_is_that_of_no_loss_in_n() -> None:
    # 0.98^148 = 0.0503, 0.98^149 = 0.0493: at the margin, all that changes is lost.
    assert p_at_least(Paired(148, 0, 0), -0.02) == pytest.approx(0.98**148, rel=1e-9)
    assert (
        least_difference(Paired(148, 0, 0), 0.95)
        < -0.02
        < least_difference(Paired(149, 0, 0), 0.95)
    )
    # (1 - d)^n = 0.05
    assert least_difference(Paired(600, 0, 0), 0.95) == pytest.approx(
        0.05 ** (1 / 600) - 1, abs=3e-5
    )


def test_the_p_value_is_the_largest_over_all_shares_by_brute_force() -> None:
    n, difference = 12, -0.15
    found = Paired(n, 1, 2)
    here = z_of(n, 1, 2, difference)
    outcomes = [(lost, gained) for lost in range(n + 1) for gained in range(n + 1 - lost)]
    as_good = [pair for pair in outcomes if z_of(n, *pair, difference) >= here - 1e-9]
    largest = 0.0
    for gain in np.linspace(0, (1 + difference) / 2, 2001):
        lose, same = gain - difference, 1 - 2 * gain + difference
        chance = sum(
            comb(n, lost)
            * comb(n - lost, gained)
            * lose**lost
            * gain**gained
            * max(same, 0.0) ** (n - lost - gained)
            for lost, gained in as_good
        )
        largest = max(largest, chance)
    assert p_at_least(found, difference) == pytest.approx(largest, rel=0.01)


@pytest.mark.parametrize("difference", [-0.9, -0.05, -0.004, 0.02])
def test_what_never_comes_is_left_out_and_changes_nothing(difference: float) -> None:
    """Above BANDED_FROM questions: against scipy's own binomials over all outcomes."""
    n = 700
    least = _least_gained(n, z_of(n, 30, 25, difference), difference)
    shares = abs(difference) + np.linspace(0, 1, 128) ** 2 * (1 - abs(difference))
    found = _chances(n, least, shares, difference)
    changed = np.arange(n + 1)
    for place in range(0, 128, 9):
        gain = np.clip((shares[place] + difference) / (2 * shares[place]), 0, 1)
        chances = binom.pmf(changed, n, shares[place]) * binom.sf(least - 1, changed, gain)
        assert found[place] == pytest.approx(chances.sum(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_the_bound_holds_as_often_as_it_says_by_enumeration(n: int) -> None:
    """Every outcome with its chance, for truths all over the triangle: never below the level."""
    bound = {
        (lost, gained): least_difference(Paired(n, lost, gained), 0.95)
        for lost in range(n + 1)
        for gained in range(n + 1 - lost)
    }
    for lose in (0.0, 0.02, 0.1, 0.3, 0.6, 0.95):
        for gain in (0.0, 0.01, 0.05, 0.2, 0.39):
            if lose + gain > 1:
                continue
            held = sum(
                comb(n, lost)
                * comb(n - lost, gained)
                * lose**lost
                * gain**gained
                * (1 - lose - gain) ** (n - lost - gained)
                for (lost, gained), low in bound.items()
                if low <= gain - lose
            )
            assert held >= 0.95 - 1e-9, (lose, gain)


def test_one_question_shows_nothing() -> None:
    assert least_difference(Paired(1, 0, 0), 0.95) == pytest.approx(-0.95, abs=1e-4)
    assert least_difference(Paired(1, 1, 0), 0.95) == -1.0
    assert bounds([0], ["q"], 0.95) == pytest.approx((-0.95, 0.95), abs=1e-4)


def test_many_questions_take_the_score() -> None:
    # 10,000 questions: -0.02 -+ 1.645 * sqrt(0.1 - 0.0004) / 100, the score's bound within a tenth.
    low = least_difference(Paired(10_000, 600, 400), 0.95)
    assert low == pytest.approx(-0.02 - norm.ppf(0.95) * sqrt(0.0996) / 100, abs=5e-4)
    changes = [-1] * 6000 + [1] * 4000 + [0] * 90_000
    low, high = bounds(changes, [str(i) for i in range(100_000)], 0.95)
    assert low < -0.02 < high
    assert high - low == pytest.approx(2 * norm.ppf(0.95) * sqrt(0.0996 / 1e5), rel=0.01)


def test_the_two_bounds_mirror_each_other() -> None:
    changes, groups = [-1, -1, -1, 1, *[0] * 40], [str(i // 2) for i in range(44)]
    low, high = bounds(changes, groups, 0.95)
    mirrored = bounds([-change for change in changes], groups, 0.95)
    assert (low, high) == pytest.approx((-mirrored[1], -mirrored[0]))


def test_rows_of_one_question_are_worth_one() -> None:
    # All rows of a question change alike: 40 rows are worth the 10 questions, and with ten of these
    # Student's quantile is 1.833 instead of 1.645.
    changes = [change for change in (-1, 1, 0, 0, 0, 0, 0, 0, 0, 0) for _ in range(4)]
    groups = [str(question) for question in range(10) for _ in range(4)]
    widening = (1.8331 / 1.6449) ** 2
    assert design_effect(changes, groups, 0.95) == pytest.approx(4 * widening, rel=1e-3)
    # 40 / 4.967 = 8.05; 4 / 4.967 = 0.81: a loss is rounded up, a gain down.
    assert counted(changes, groups, 0.95) == Paired(8, 1, 0)


def test_nothing_changed_or_one_question_is_the_worst_case() -> None:
    groups = ["a"] * 4 + ["b"] * 2
    assert design_effect([0] * 6, groups, 0.95) == pytest.approx((16 + 4) / 6)
    assert counted([0] * 6, ["a"] * 6, 0.95) == Paired(1, 0, 0)
    assert counted([-1] * 6, ["a"] * 6, 0.95) == Paired(1, 1, 0)
    assert design_effect([1, 0, -1], ["a", "b", "c"], 0.95) == 1.0


def test_independent_rows_of_a_question_are_worth_more_than_it() -> None:
    rng = np.random.default_rng(0)
    changes = rng.choice([-1, 0, 1], 1200, p=[0.05, 0.9, 0.05]).tolist()
    groups = [str(i // 4) for i in range(1200)]
    assert 900 < counted(changes, groups, 0.95).n <= 1200


@pytest.mark.parametrize("likeness", [0.3, 1.0])
def test_the_bound_of_grouped_rows_covers_in_a_simulation(likeness: float) -> None:
    """20 questions of 1 to 9 rows, which copy their question's change with a chance. Of 400 draws
    20 +- 4.4 may be missed."""
    rng = np.random.default_rng(7)
    chances = [0.15, 0.75, 0.1]
    covered = 0
    for _ in range(400):
        sizes = rng.integers(1, 10, 20)
        groups = [str(question) for question, size in enumerate(sizes) for _ in range(size)]
        common = np.repeat(rng.choice([-1, 0, 1], 20, p=chances), sizes)
        own = rng.choice([-1, 0, 1], len(groups), p=chances)
        changes = np.where(rng.random(len(groups)) < likeness, common, own).tolist()
        covered += p_at_least(counted(changes, groups, 0.95), -0.05) > 0.05
    assert covered >= 400 - 29
