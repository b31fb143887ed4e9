"""export.parity: figures worked out by hand."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from export import Budget
from export.parity import ROWS, HandOver, Logits, divergences, drift_between, log_softmax

QUARTERS = np.log(np.array([[0.75, 0.25]], dtype=np.float32))
HALVES = np.array([[3.0, 3.0]], dtype=np.float32)


def test_log_softmax() -> None:
    assert np.exp(log_softmax(HALVES)) == pytest.approx(np.array([[0.5, 0.5]]))
    assert log_softmax(np.array([[1e4, 0.0]], dtype=np.float32))[0, 0] == 0


def test_divergence_by_hand() -> None:
    # 0.75 ln(0.75 / 0.5) + 0.25 ln(0.25 / 0.5)
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert divergences(QUARTERS, HALVES) == pytest.approx([expected], abs=1e-6)
    assert divergences(QUARTERS, QUARTERS) == pytest.approx([0.0], abs=1e-9)


def test_drift_passes_and_fails() -> None:
    flipped = QUARTERS[:, ::-1]
    found = drift_between([(QUARTERS, QUARTERS), (QUARTERS, flipped)])
    kl, top1 = HandOver("gguf-Q8_0", "quantising").drift(found, Budget(0.2, 0.5))
    # half of the two tokens is flipped: KL (0 + 0.5 ln 3) / 2, top-1 0.5
    assert kl.measured == pytest.approx(0.25 * math.log(3), abs=1e-6)
    assert (kl.passed, kl.n) == (False, 2)
    assert (top1.measured, top1.passed) == (0.5, True)
    assert str(kl) == "gguf-Q8_0: mean KL, nats per token: 0.2747 (limit 0.2, n = 2) FAILED"


def test_a_nan_never_passes() -> None:
    broken = np.array([[np.nan, 1.0]], dtype=np.float32)
    kl, _ = HandOver("gguf-F16", "x").drift(drift_between([(HALVES, broken)]), Budget(1e9, 0.0))
    assert not kl.passed


def test_long_samples_are_compared_part_by_part() -> None:
    reference = np.tile(QUARTERS, (20, 1))
    found = reference.copy()
    found[15:] = HALVES
    kl = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    drift = drift_between([(reference, found), (QUARTERS, QUARTERS)])
    assert (drift.kl, drift.top1, drift.tokens) == (pytest.approx(kl * 5 / 21, abs=1e-6), 1, 21)


def test_of_many_samples_one_pair_is_held() -> None:
    def pairs() -> Iterator[tuple[Logits, Logits]]:
        for seed in range(20):
            one, other = np.random.default_rng(seed).random((2, 32, 1000), dtype=np.float32)
            yield one, other

    tracemalloc.start()
    try:
        drift_between(pairs())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A pair is 256 KB, with the next one in the making 512; of ROWS rows there are at most 6 arrays in float64.
    assert peak < 2 * 2 * 32 * 1000 * 4 + 6 * ROWS * 1000 * 8 < 20 * 2 * 32 * 1000 * 4


def test_nothing_compared_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        drift_between([])


def test_token_gates() -> None:
    [same] = HandOver("gguf-F16", "x").tokens([[5]], [[5]], bos=None)
    assert same.passed, "a model without a first token"
    same, bos = HandOver("gguf-F16", "x").tokens([[2, 5], [2, 6]], [[2, 5], [2, 6]], bos=2)
    assert (same.passed, bos.passed) == (True, True)
    same, bos = HandOver("gguf-F16", "x").tokens([[2, 5], [2, 6], [2, 7]], [[2, 2, 5], [6], [2, 7]], bos=2)
    assert (same.measured, same.passed) == (2, False)
    assert (bos.measured, bos.passed) == (2, False)
