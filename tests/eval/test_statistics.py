import pytest

from eval.statistics import bootstrap_mean, mcnemar_p, wilson


def test_wilson_by_hand() -> None:
    # 48 of 80, the report's 60 % without its 20 ties: centre 0.6 + 1.9208/80 = 0.62401, over 1 + 3.8415/80 = 1.04802.
    low, high = wilson(0.6, 80)
    assert low == pytest.approx(0.4904, abs=5e-4)
    assert high == pytest.approx(0.7004, abs=5e-4)


def test_wilson_at_the_ends_stays_inside_and_is_not_a_point() -> None:
    # All of n right: low = n / (n + z²) = 10 / 13.8415.
    assert wilson(1.0, 10) == (pytest.approx(10 / 13.8415, abs=1e-4), pytest.approx(1.0))
    assert wilson(0.0, 10) == (pytest.approx(0.0, abs=1e-12), pytest.approx(3.8415 / 13.8415, abs=1e-4))


def test_mcnemar_by_hand() -> None:
    # 5 changed, 4 of them won: 2 * (C(5,0) + C(5,1)) / 32 = 12 / 32.
    first = [True, True, True, True, False, True, False]
    second = [False, False, False, False, True, True, False]
    assert mcnemar_p(first, second) == pytest.approx(0.375)
    assert mcnemar_p(second, first) == pytest.approx(0.375)


def test_mcnemar_of_equal_answers_is_one() -> None:
    assert mcnemar_p([True, False], [True, False]) == 1.0


def test_mcnemar_of_thousands_does_not_underflow() -> None:
    assert mcnemar_p([True] * 3000, [False] * 3000) == 0.0


def test_bootstrap_of_equal_values_is_that_value_and_the_seed_decides() -> None:
    assert bootstrap_mean([0.5] * 4, list("abcd"), 1) == (0.5, 0.5)
    values, groups = [0.0, 1.0, 4.0, 9.0], list("abcd")
    assert bootstrap_mean(values, groups, 7) == bootstrap_mean(values, groups, 7)
    low, high = bootstrap_mean(values, groups, 7)
    assert 0.0 <= low < 3.5 < high <= 9.0


def test_bootstrap_resamples_questions_not_pairs() -> None:
    # One question with many pairs is one observation: there is nothing to resample.
    assert bootstrap_mean([0.0, 1.0, 1.0, 0.0], list("aaaa"), 3) == (0.5, 0.5)
    narrow = bootstrap_mean([0.0, 1.0] * 50, [str(i) for i in range(100)], 3)
    wide = bootstrap_mean([0.0, 1.0] * 50, ["x", "y"] * 50, 3)
    assert wide == (0.0, 1.0)
    assert narrow[1] - narrow[0] < 0.3
