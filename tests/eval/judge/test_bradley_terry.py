from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from eval.judge.bradley_terry import fit, rate
from eval.judge.verdicts import PairVerdict
from tests.eval.judge.judges import pair_verdict

WON, LOST, TIED = ("2", "2"), ("1", "1"), ("3", "3")


def compared(policy: str, reference: str, won: int, lost: int, tied: int = 0) -> list[PairVerdict]:
    marks = [WON] * won + [LOST] * lost + [TIED] * tied
    found = [pair_verdict(f"{policy}{reference}{i}", one) for i, one in enumerate(marks)]
    return [one.model_copy(update={"policy": policy, "reference": reference}) for one in found]


def test_against_a_logistic_regression_on_who_played() -> None:
    rng = np.random.default_rng(1)
    wins = rng.integers(1, 20, size=(5, 5)).astype(float)
    np.fill_diagonal(wins, 0)
    rows, outcomes, weights = [], [], []
    for i in range(5):
        for j in range(i):
            row = np.zeros(5)
            row[i], row[j] = 1, -1
            for outcome, weight in ((1, wins[i, j]), (0, wins[j, i])):
                rows.append(row)
                outcomes.append(outcome)
                weights.append(weight)
    model = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-12, max_iter=10_000)
    expected = model.fit(np.array(rows), outcomes, sample_weight=weights).coef_[0]
    assert fit(wins[None])[0] == pytest.approx(expected - expected.mean(), abs=1e-4)


def test_two_variants_have_the_log_odds_of_their_wins() -> None:
    [better, worse] = rate(compared("dpo", "base", 30, 10, tied=8), 42)
    odds = (30 + 4 + 0.5) / (10 + 4 + 0.5)
    assert better.value - worse.value == pytest.approx(np.log(odds), abs=1e-6)
    assert (better.variant, better.n) == ("dpo", 48)
    assert better.low < better.value < better.high
    assert worse.value == pytest.approx(-better.value)


def test_a_third_joins_two_that_never_met() -> None:
    verdicts = [*compared("dpo", "base", 30, 10), *compared("gguf", "dpo", 10, 10)]
    found = {one.variant: one for one in rate(verdicts, 42)}
    assert found["gguf"].value == pytest.approx(found["dpo"].value, abs=1e-6)
    assert found["dpo"].value > found["base"].value
    assert found["dpo"].n == 60


def test_one_that_never_lost_has_a_rating() -> None:
    best, worst = rate(compared("dpo", "base", 20, 0), 42)
    assert np.isfinite([best.value, best.low, best.high, worst.value]).all()


def test_variants_that_were_never_compared_are_not_set_side_by_side() -> None:
    apart = [*compared("dpo", "base", 3, 1), *compared("gguf", "merged", 2, 2)]
    assert rate(apart, 42) == []
    assert rate([], 42) == []
