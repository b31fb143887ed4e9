"""The bench of benchmarks: what counts as the same answer."""

from __future__ import annotations

import pytest

pytest.importorskip("lm_eval")

from bench.harness import Answered, agreement


def test_rows_with_the_same_metrics_are_the_same_answer() -> None:
    mine = Answered([{"acc": 1.0}, {"acc": 0.0}], [[[(-1.0, False)]], [[(-2.0, True)]]], 1.0)
    other = Answered([{"acc": 1.0}, {"acc": 1.0}], [[[(-1.0, False)]], [[(-2.5, True)]]], 3.0)
    assert agreement(mine, mine) == "2 of 2; log-probs within 0e+00"
    assert agreement(mine, other) == "1 of 2; log-probs within 5e-01"


def test_texts_are_also_compared_to_the_letter() -> None:
    mine = Answered([{"exact_match": 1.0}], [[["42"]]], 1.0)
    other = Answered([{"exact_match": 1.0}], [[["42."]]], 1.0)
    assert agreement(mine, other) == "1 of 1; 0 texts to the letter"
