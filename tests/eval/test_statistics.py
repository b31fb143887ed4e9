import numpy as np
import pytest
from scipy.stats import binomtest

from eval.statistics import bootstrap_mean, holm, share_interval, sign_flip_p, wilson


def test_wilson_by_hand() -> None:
    # 48 of 80, the report's 60 % without its 20 ties: centre 0.6 + 1.9208/80 = 0.62401, over 1 +
    # 3.8415/80 = 1.04802.
    low, high = wilson(0.6, 80)
    assert low == pytest.approx(0.4904, abs=5e-4)
    assert high == pytest.approx(0.7004, abs=5e-4)


def test_wilson_at_the_ends_stays_inside_and_is_not_a_point() -> None:
    # All of n right: low = n / (n + z²) = 10 / 13.8415.
    assert wilson(1.0, 10) == (pytest.approx(10 / 13.8415, abs=1e-4), pytest.approx(1.0))
    assert wilson(0.0, 10) == (
        pytest.approx(0.0, abs=1e-12),
        pytest.approx(3.8415 / 13.8415, abs=1e-4),
    )


def test_sign_flips_of_single_rows_are_mcnemars_test() -> None:
    # 5 changed, 4 of them won: 2 * (C(5,0) + C(5,1)) / 32 = 12 / 32.
    changes = {"a": 1, "b": 1, "c": 1, "d": 1, "e": -1, "f": 0, "g": 0}
    assert sign_flip_p(changes) == pytest.approx(0.375)
    assert sign_flip_p({name: -change for name, change in changes.items()}) == pytest.approx(0.375)


def test_sign_flips_keep_a_question_together() -> None:
    # Sums of ±3 and ±1 are 4, 2, -2, -4: all four are at least 2 from zero, two of them 4. As eight
    # rows that changed alike it would look like 2 / 2^4.
    assert sign_flip_p({"a": 3, "b": 1}) == pytest.approx(0.5)
    assert sign_flip_p({"a": 3, "b": -1}) == pytest.approx(1.0)


def test_sign_flips_of_no_change_and_of_thousands() -> None:
    assert sign_flip_p({"a": 0, "b": 0}) == 1.0
    assert sign_flip_p({}) == 1.0
    assert sign_flip_p({str(i): 1 for i in range(3000)}) == 0.0


def test_sign_flips_of_single_rows_are_scipys_binomial_test() -> None:
    for lost, gained in ((0, 1), (3, 12), (40, 25), (7, 7)):
        changes = {f"l{i}": -1 for i in range(lost)} | {f"g{i}": 1 for i in range(gained)}
        exact = binomtest(gained, lost + gained).pvalue
        assert sign_flip_p(changes) == pytest.approx(exact)


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1 is 0.04, 0.06, 0.06, 0.5.
    assert holm([0.03, 0.5, 0.01, 0.02]) == pytest.approx([0.06, 0.5, 0.04, 0.06])
    # 2 x 0.025 = 0.05 is less than 3 x 0.02, and nothing may fall below a smaller one.
    assert holm([0.02, 0.025, 0.9]) == pytest.approx([0.06, 0.06, 0.9])
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_a_share_of_single_rows_has_wilsons_interval() -> None:
    assert share_interval([True, False, True], list("abc"), 1) == wilson(2 / 3, 3)


def test_pairs_of_one_question_alone_say_little() -> None:
    """There is nothing to resample, and an interval of no width would be a lie."""
    assert share_interval([True, False], ["q", "q"], 1) == wilson(0.5, 1)


def test_a_share_over_pairs_lies_between_too_narrow_and_too_wide() -> None:
    # Of each question nine pairs go one way and one the other: nearly as good as independent.
    hits = [pair != question % 10 for question in range(60) for pair in range(10)]
    groups = [str(question) for question in range(60) for _ in range(10)]
    low, high = share_interval(hits, groups, 1)
    wide = wilson(0.9, 60)
    assert wide[0] < low <= 0.9 <= high < wide[1]
    # And where all pairs of a question go the same way, there are no more trials than questions.
    alike = [question % 10 != 0 for question in range(60) for _ in range(10)]
    low, high = share_interval(alike, groups, 1)
    assert high - low > 2 * (wilson(0.9, 600)[1] - wilson(0.9, 600)[0])


def test_a_share_of_only_hits_is_not_a_point() -> None:
    assert share_interval([True] * 50, ["q"] * 50, 1) == wilson(1.0, 1)


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


def test_bootstrap_is_plain_resampling_of_groups() -> None:
    """As it reads: draw as many groups as there are, add up their values and rows, divide."""
    values, groups = [1.0, 0.0, 2.5, 4.0, 4.5], list("aabcc")
    sums, sizes = np.array([1.0, 2.5, 8.5]), np.array([2, 1, 2])
    rng = np.random.default_rng(11)
    draws = [rng.integers(3, size=3) for _ in range(2000)]
    means = [sums[draw].sum() / sizes[draw].sum() for draw in draws]
    expected = np.percentile(means, [2.5, 97.5])
    assert bootstrap_mean(values, groups, 11) == pytest.approx(tuple(expected), abs=1e-12)


@pytest.mark.parametrize(("rows", "gained"), [(10, 2), (999, 470), (40_000, 20_300)])
def test_sign_flips_of_single_rows_are_the_binomial_test(rows: int, gained: int) -> None:
    changes = {str(row): 1 if row < gained else -1 for row in range(rows)}
    exact = binomtest(gained, rows, 0.5).pvalue
    assert sign_flip_p(changes) == pytest.approx(exact, rel=1e-9)
