"""Stemma's DPO trainer against TRL's: the licence to be fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.models import tiny_model
from tests.plugin.trainers import PLAIN, batch, make_small, make_trainer, step

LOSS = 1e-5
GRADIENT = 1e-4


def assert_alike(ours: Any, stock: Any, count: int = 4) -> None:
    """Loss, gradients and all metrics of one batch are the stock trainer's."""
    loss, gradient, metrics = step(ours, batch(ours, count))
    expected, wanted, named = step(stock, batch(stock, count))
    assert abs(loss - expected) < LOSS
    assert wanted.norm() > 1e-3
    assert (gradient - wanted).norm() / wanted.norm() < GRADIENT
    assert metrics.keys() == named.keys()
    for name, value in named.items():
        assert metrics[name] == pytest.approx(value, rel=1e-4, abs=1e-4), name


def test_equals_trl(tmp_path: Path) -> None:
    ours, stock = (make_trainer(tiny_model(), tmp_path, options) for options in (PLAIN, None))
    assert_alike(ours, stock)
    assert ours.describe()["logps"] == "answers only, fp32"


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("longest", [20, 48, None])
def test_equals_trl_on_odd_batches(tmp_path: Path, count: int, longest: int | None) -> None:
    """One pair, padding on either side of the batch, answers cut short or cut away."""
    ours, stock = (make_trainer(tiny_model(), tmp_path, options, max_length=longest) for options in (PLAIN, None))
    assert_alike(ours, stock, count)


@pytest.mark.parametrize("kind", ["gemma2", "qwen2", "llama"])
def test_equals_trl_on_other_architectures(tmp_path: Path, kind: str) -> None:
    start = make_small(tmp_path / "start", kind)
    assert_alike(*(make_trainer(start, tmp_path, options) for options in (PLAIN, None)))
