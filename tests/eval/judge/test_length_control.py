from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from eval.judge.length_control import Floats, rate_at_equal_length


def drawn(n: int, preference: float, length: float, seed: int) -> tuple[Floats, Floats]:
    """Outcomes of a judge who likes the policy by `preference` logits and length by `length`."""
    rng = np.random.default_rng(seed)
    differences = rng.normal(40, 100, n).round()
    logits = preference + length * np.tanh(differences / differences.std())
    return (rng.random(n) < expit(logits)).astype(float), differences


@pytest.mark.parametrize("seed", range(5))
def test_the_rate_against_scikit_learn(seed: int) -> None:
    outcomes, differences = drawn(150, 0.3, 1.5, seed)
    lengths = np.tanh(differences / differences.std())[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(lengths, outcomes)
    found = rate_at_equal_length(outcomes, differences, 42)
    assert found is not None
    assert found.value == pytest.approx(model.predict_proba([[0.0]])[0, 1], abs=1e-5)


def test_ties_as_half_against_a_general_optimizer() -> None:
    outcomes, differences = drawn(120, -0.4, 1.0, 3)
    outcomes[::4] = 0.5
    lengths = np.tanh(differences / differences.std())

    def loss(coefficients: Floats) -> float:
        logits = coefficients[0] + coefficients[1] * lengths
        return float(np.sum(np.logaddexp(0, logits) - outcomes * logits))

    best = minimize(
        loss, np.zeros(2), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}
    )
    found = rate_at_equal_length(outcomes, differences, 42)
    assert found is not None
    assert found.value == pytest.approx(expit(best.x[0]), abs=1e-5)


def test_it_takes_out_what_length_alone_decides() -> None:
    """The policy is no better, only longer: its plain rate is high, the controlled one is not."""
    outcomes, differences = drawn(1500, 0.0, 3.0, 1)
    found = rate_at_equal_length(outcomes, differences, 42)
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert outcomes.mean() > 0.6
    assert found.low < 0.5 < found.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    truth = float(expit(0.5))
    hits = 0
    for seed in range(40):
        found = rate_at_equal_length(*drawn(100, 0.5, 1.0, seed), 42)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits >= 34  # of 40 at 95 %: fewer would come 3 times in 1000


def test_equal_lengths_leave_the_plain_rate() -> None:
    outcomes = np.array([1.0, 1.0, 0.0, 0.5])
    found = rate_at_equal_length(outcomes, np.full(4, 7.0), 42)
    assert found is not None
    assert found.value == 2.5 / 4
    assert found.low is not None
    assert found.low < found.value


def test_nothing_is_said_where_length_parts_wins_from_losses() -> None:
    differences = np.array([-5.0, -3.0, -1.0, 2.0, 4.0, 6.0])
    assert rate_at_equal_length((differences > 0).astype(float), differences, 42) is None
    assert rate_at_equal_length(np.ones(6), differences, 42) is None


def test_two_thousand_pairs_take_seconds_and_little_memory() -> None:
    outcomes, differences = drawn(2_000, 0.2, 1.0, 5)
    begin = time.process_time()
    assert rate_at_equal_length(outcomes, differences, 42) is not None
    assert time.process_time() - begin < 10
