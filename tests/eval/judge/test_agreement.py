from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from eval.judge.agreement import agreement, kappa
from tests.eval.judge.judges import pair_verdict

WON, LOST, TIED, SPLIT, INVALID = ("2", "2"), ("1", "1"), ("3", "3"), ("1", "2"), ("2", None)


def test_kappa_against_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    first = rng.choice(["policy", "reference", "tie"], 80, p=[0.6, 0.3, 0.1])
    second = np.where(rng.random(80) < 0.6, first, rng.choice(["policy", "reference", "tie"], 80))
    found = kappa(list(zip(map(str, first), map(str, second), strict=True)))
    assert found.n == 80
    assert found.kappa == pytest.approx(cohen_kappa_score(first, second))


def test_pairs_that_both_judged() -> None:
    model = [
        pair_verdict("a", WON, question="1"),
        pair_verdict("b", LOST, question="2"),
        pair_verdict("c", SPLIT, question="3"),
        pair_verdict("d", INVALID, question="4"),
        pair_verdict("e", WON, question="5"),
    ]
    person = [
        pair_verdict("x", ("2",), question="1"),
        pair_verdict("y", ("2",), question="2"),
        pair_verdict("z", ("3",), question="3"),
        pair_verdict("w", ("2",), question="4"),
    ]
    found = agreement(model, person)
    assert found is not None
    # By hand: 2 of 3 agree; by chance (policy 1 x 2 + tie 1 x 1) / 9.
    assert (found.n, found.agreed) == (3, 2 / 3)
    assert found.kappa == pytest.approx((2 / 3 - 3 / 9) / (1 - 3 / 9))


def test_nothing_in_common_and_nothing_to_tell_apart() -> None:
    one = [pair_verdict("a", WON, question="1")]
    assert agreement(one, [pair_verdict("a", WON, question="2")]) is None
    alike = agreement(one, one)
    assert alike is not None
    assert (alike.agreed, alike.kappa) == (1, None)
