"""export.parity: verdicts on figures worked out by hand."""

from __future__ import annotations

import math

from export import Budget
from export.parity import drift_gates, token_gates
from stemma.gate import HandOver
from stemma.models import Agreement

HAND_OVER = HandOver("gguf-Q8_0", "quantising")


def test_drift_passes_and_fails() -> None:
    found = Agreement(max_difference=1.1, kl=0.25 * math.log(3), top1=0.5, positions=2)
    kl, top1 = drift_gates(HAND_OVER, found, Budget(0.2, 0.5))
    assert (kl.passed, kl.n) == (False, 2)
    assert (top1.value, top1.passed) == (0.5, True)
    assert str(kl) == "gguf-Q8_0: mean KL, nats per token: 0.2747 (at most 0.2, n = 2) FAILED"


def test_a_nan_never_passes() -> None:
    broken = Agreement(math.nan, math.nan, 1.0, 1)
    kl, _ = drift_gates(HAND_OVER, broken, Budget(1e9, 0.0))
    assert not kl.passed


def test_token_gates() -> None:
    [same] = token_gates(HAND_OVER, [[5]], [[5]], bos=None)
    assert same.passed, "a model without a first token"
    same, bos = token_gates(HAND_OVER, [[2, 5], [2, 6]], [[2, 5], [2, 6]], bos=2)
    assert (same.passed, bos.passed) == (True, True)
    expected = [[2, 5], [2, 6], [2, 7]]
    same, bos = token_gates(HAND_OVER, expected, [[2, 2, 5], [6], [2, 7]], bos=2)
    assert (same.value, same.passed) == (2, False)
    assert (bos.value, bos.passed) == (2, False)
