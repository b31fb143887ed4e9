"""Optimizer steps that were left out, on plain objects with the few attributes that are read.

The real engine: tests/engines/test_deepspeed.py; the real command: tests/training/test_run.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemma.plugin.steps import StepsTaken
from stemma.training.completion import FAILURE


def make_engine(fp16: bool = False) -> Any:
    return SimpleNamespace(skipped_steps=0, fp16_enabled=lambda: fp16)


def ended(steps: StepsTaken, step: int) -> None:
    steps.on_step_end(None, SimpleNamespace(global_step=step), None)


def test_a_step_left_out_stops_the_training_and_is_named(tmp_path: Path) -> None:
    engine = make_engine()
    steps = StepsTaken(SimpleNamespace(deepspeed=engine), tmp_path)
    for step in (1, 2):
        ended(steps, step)
    assert (steps.count(), list(tmp_path.iterdir())) == (0, [])
    engine.skipped_steps = 1
    found = "DeepSpeed has left out 1 of 3 optimizer steps, silently"
    told = f"{found}: the gradient of step 3 is not finite"
    with pytest.raises(FloatingPointError, match=told):
        ended(steps, 3)
    assert json.loads((tmp_path / FAILURE).read_text()) == {"step": 3, "reason": told}


def test_in_fp16_steps_are_left_out_by_design_and_counted(tmp_path: Path) -> None:
    engine = make_engine(fp16=True)
    steps = StepsTaken(SimpleNamespace(deepspeed=engine), tmp_path)
    for step, so_far in ((1, 1), (2, 2), (3, 2)):
        engine.skipped_steps = so_far
        ended(steps, step)
    assert (steps.count(), list(tmp_path.iterdir())) == (2, [])


def test_without_deepspeed_accelerate_says_which(tmp_path: Path) -> None:
    """It leaves steps out where a scaled gradient overflows: in fp16 alone."""
    accelerator = SimpleNamespace(optimizer_step_was_skipped=False)
    steps = StepsTaken(SimpleNamespace(deepspeed=None, accelerator=accelerator), tmp_path)
    for step, skipped in ((1, True), (2, False), (3, True)):
        accelerator.optimizer_step_was_skipped = skipped
        ended(steps, step)
    assert (steps.count(), list(tmp_path.iterdir())) == (2, [])
