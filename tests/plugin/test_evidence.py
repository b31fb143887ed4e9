"""Evidence that the plugin leaves, on plain objects with the trainer's few attributes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import EarlyStoppingCallback

from stemma import tensors
from stemma.plugin.evidence import (
    EvidenceRecorder,
    not_finite,
    record_first_step,
    stop_at_non_finite_loss,
)
from stemma.training.completion import COMPLETED, FAILURE


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
    assert json.loads((tmp_path / FAILURE).read_text()) == {
        "step": 7,
        "reason": "the loss of step 7 is nan",
    }


def test_numbers_that_are_none_are_found_in_any_piece(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensors, "PIECE", 8)  # two rows of a matrix four wide
    matrix = torch.zeros(5, 4, dtype=torch.bfloat16)
    matrix[4, 3] = float("inf")
    save_file(
        {"whole": torch.zeros(5, 4), "broken": matrix}, tmp_path / "adapter_model.safetensors"
    )
    save_file({"a": torch.tensor([float("nan")])}, tmp_path / "first_step.rank0.safetensors")
    assert not_finite(tmp_path) == ["broken"]


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
    assert json.loads((tmp_path / "first_step.json").read_text()) == {
        "logps/chosen": -3.0,
        "rewards/margins": 0.0,
    }


def test_a_resumed_run_keeps_the_first_record(tmp_path: Path) -> None:
    trainer = make_trainer(step=4)
    record_first_step(trainer, tmp_path)
    trainer.compute_loss(None, make_batch())
    assert list(tmp_path.iterdir()) == []


def concluded(output: Path, step: int, **changes: Any) -> dict[str, dict[str, Any]]:
    """The evidence that a training of eight steps leaves when the trainer came out of its loop at `step`."""
    record = EvidenceRecorder()
    record.binding, record.callbacks = "of this work", changes.get("callbacks", ())
    state = SimpleNamespace(global_step=step, max_steps=8, log_history=[{"loss": 1.0}])
    record.skipped = lambda: changes.get("skipped", 0)
    record.on_train_end(None, state, None)
    record.conclude(output, adapter=changes.get("adapter", True))
    return {path.name: json.loads(path.read_text()) for path in output.glob("*.json")}


def save_adapter(output: Path, value: float = 1.0) -> Path:
    path = output / "adapter_model.safetensors"
    save_file({"good": torch.ones(1), "other": torch.tensor([value])}, path)
    return path


def test_a_whole_training_is_marked_as_completed(tmp_path: Path) -> None:
    save_adapter(tmp_path)
    [(name, written)] = concluded(tmp_path, 8).items()
    peak = written.pop("peak_memory")
    assert name == COMPLETED
    assert written == {
        "binding": "of this work",
        "steps": 8,
        "skipped_steps": 0,
        "planned_steps": 8,
        "trainable_parameters": 0,
        "parameters": 0,
        "dtype": "",
        "trainer": {},
        "plugins": [],
        "history": [{"loss": 1.0}],
    }
    assert peak["bytes"] > 2**27, "Python with torch loaded"
    assert peak["of"] == (
        "GPU memory allocated" if torch.cuda.is_available() else "resident memory"
    )


def test_broken_weights_complete_nothing(tmp_path: Path) -> None:
    save_adapter(tmp_path, float("nan"))
    reason = "it left 1 tensors with NaN or infinity, the first: other"
    assert concluded(tmp_path, 8) == {FAILURE: {"step": 8, "reason": reason}}


def test_a_training_that_ended_early_is_complete_only_by_its_own_rule(tmp_path: Path) -> None:
    save_adapter(tmp_path)
    rule = EarlyStoppingCallback(early_stopping_patience=3)
    rule.early_stopping_patience_counter = 2
    told = {FAILURE: {"step": 5, "reason": "it ended at step 5 of 8"}}
    assert concluded(tmp_path, 5) == concluded(tmp_path, 5, callbacks=[rule]) == told
    (tmp_path / FAILURE).unlink()
    rule.early_stopping_patience_counter = 3
    assert concluded(tmp_path, 5, callbacks=[rule])[COMPLETED]["steps"] == 5


def test_steps_left_out_are_not_counted_as_taken(tmp_path: Path) -> None:
    """Two of fp16's, by design."""
    save_adapter(tmp_path)
    marker = concluded(tmp_path, 8, skipped=2)[COMPLETED]
    assert (marker["steps"], marker["skipped_steps"], marker["planned_steps"]) == (6, 2, 8)


def test_a_training_that_took_no_step_is_not_complete(tmp_path: Path) -> None:
    save_adapter(tmp_path)
    reason = "none of its 8 steps was taken: no gradient was finite"
    assert concluded(tmp_path, 8, skipped=8) == {FAILURE: {"step": 8, "reason": reason}}


def test_a_training_that_saved_nothing_is_not_complete(tmp_path: Path) -> None:
    """Its first batch, its adapter's settings and, for DPO, the whole model are not the adapter."""
    save_file({"input_ids": torch.ones(1)}, tmp_path / "first_step.rank0.safetensors")
    save_file({"good": torch.ones(1)}, tmp_path / "model.safetensors")
    assert concluded(tmp_path, 8) == {
        FAILURE: {"step": 8, "reason": "it saved no adapter_model.safetensors"}
    }
    (tmp_path / FAILURE).unlink()
    assert list(concluded(tmp_path, 8, adapter=False)) == [COMPLETED]
    (tmp_path / COMPLETED).unlink()
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00002.safetensors")
    assert list(concluded(tmp_path, 8, adapter=False)) == [COMPLETED], "in parts"


def test_weights_of_an_attempt_before_go_when_training_begins(tmp_path: Path) -> None:
    """Else they would be handed over where this one fails to save."""
    save_adapter(tmp_path)
    save_file({"good": torch.ones(1)}, tmp_path / "model-00001-of-00002.safetensors")
    kept = ["adapter_config.json", "first_step.rank0.safetensors"]
    for name in kept:
        (tmp_path / name).touch()
    model = SimpleNamespace(parameters=lambda: [torch.ones(1)], dtype=torch.float32)
    EvidenceRecorder().on_train_begin(
        SimpleNamespace(output_dir=str(tmp_path)), None, None, model=model
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == kept
