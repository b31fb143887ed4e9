"""What the plugin leaves as evidence, on plain objects with the trainer's few attributes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stemma.child import COMPLETED, FAILURE
from stemma.plugin.evidence import Record, record_first_step, stop_at_non_finite_loss


def make_trainer(loss: float = 0.5, step: int = 0) -> Any:
    return SimpleNamespace(
        training_step=lambda: torch.tensor(loss),
        compute_loss=lambda *_: torch.tensor(loss),
        state=SimpleNamespace(global_step=step),
        model=SimpleNamespace(training=True),
        _metrics={"train": {"logps/chosen": [-3.0], "rewards/margins": [0.0]}},
    )


def make_batch() -> dict[str, torch.Tensor]:
    return {
        "input_ids": torch.tensor([[2, 5, 1]]),
        "completion_mask": torch.tensor([[0, 1, 1]]),
        "other": torch.ones(1),
    }


def test_a_finite_loss_passes(tmp_path: Path) -> None:
    trainer = make_trainer()
    stop_at_non_finite_loss(trainer, tmp_path)
    assert trainer.training_step() == 0.5


def test_a_nan_loss_stops_and_names_the_step(tmp_path: Path) -> None:
    trainer = make_trainer(loss=float("nan"), step=6)
    stop_at_non_finite_loss(trainer, tmp_path)
    with pytest.raises(FloatingPointError, match="the loss of step 7 is nan"):
        trainer.training_step()
    assert json.loads((tmp_path / FAILURE).read_text()) == {"step": 7, "reason": "the loss of step 7 is nan"}


def test_only_the_first_training_batch_is_recorded(tmp_path: Path) -> None:
    trainer = make_trainer()
    record_first_step(trainer, tmp_path)
    trainer.model.training = False
    trainer.compute_loss(None, {})
    assert list(tmp_path.iterdir()) == [], "evaluation comes before training and is not it"
    trainer.model.training = True
    trainer.compute_loss(None, make_batch())
    trainer.compute_loss(None, {})
    saved = load_file(tmp_path / "first_step.rank0.safetensors")
    assert sorted(saved) == ["completion_mask", "input_ids"]
    assert json.loads((tmp_path / "first_step.json").read_text()) == {"logps/chosen": -3.0, "rewards/margins": 0.0}


def test_a_resumed_run_keeps_the_first_record(tmp_path: Path) -> None:
    trainer = make_trainer(step=4)
    record_first_step(trainer, tmp_path)
    trainer.compute_loss(None, make_batch())
    assert list(tmp_path.iterdir()) == []


def test_the_marker_tells_of_broken_weights(tmp_path: Path) -> None:
    save_file({"good": torch.ones(1), "bad": torch.tensor([float("nan")])}, tmp_path / "adapter_model.safetensors")
    record = Record()
    record.state = SimpleNamespace(global_step=8, max_steps=8, log_history=[{"loss": 1.0}])
    record.mark_completed(tmp_path, early=False)
    written = json.loads((tmp_path / COMPLETED).read_text())
    assert (written["not_finite"], written["steps"], written["planned_steps"]) == (["bad"], 8, 8)
    assert written["peak_memory"]["bytes"] > 2**27, "Python with torch loaded"
    assert written["peak_memory"]["of"] == ("GPU memory allocated" if torch.cuda.is_available() else "resident memory")


def test_an_interrupted_training_is_not_marked(tmp_path: Path) -> None:
    record = Record()
    record.mark_completed(tmp_path, early=False)
    record.state = SimpleNamespace(global_step=5, max_steps=8, log_history=[])
    record.mark_completed(tmp_path, early=False)
    assert list(tmp_path.iterdir()) == []
    record.mark_completed(tmp_path, early=True)
    assert json.loads((tmp_path / COMPLETED).read_text())["steps"] == 5, "its own rule ended it"
