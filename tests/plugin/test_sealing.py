"""Sealing of checkpoints, on real files.

With a real trainer: `tests/training/test_resume.py`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import EarlyStoppingCallback

from stemma.plugin.sealing import FIRST_SECONDS, SealCheckpoints, given, guard_checkpoints
from stemma.training.checkpoints import Seal, binding_of, checkpoints, read_seal
from stemma.training.completion import COMPLETED

FILE = "base_model: some/model\nlearning_rate: 5e-05\nbf16: true\noutput_dir: out\n"


def save(sealing: SealCheckpoints, output: Path, step: int, value: float = 1.0) -> Seal | None:
    """As the trainer saves: the files, then the callback."""
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "rng_state.pth").write_bytes(b"12345")
    save_file({"lora_B": torch.tensor([value])}, folder / "adapter_model.safetensors")
    state = SimpleNamespace(global_step=step, best_model_checkpoint=None)
    sealing.on_save(SimpleNamespace(output_dir=str(output)), state, None)
    return read_seal(folder)


def test_a_checkpoint_is_sealed_with_all_its_files(tmp_path: Path) -> None:
    seal = save(SealCheckpoints("of this work", None), tmp_path, 4)
    assert seal is not None
    assert (seal.step, seal.processes, seal.binding) == (4, 1, "of this work")
    content = (tmp_path / "checkpoint-4" / "adapter_model.safetensors").read_bytes()
    assert seal.files == {
        "rng_state.pth": hashlib.sha256(b"12345").hexdigest(),
        "adapter_model.safetensors": hashlib.sha256(content).hexdigest(),
    }


def test_older_checkpoints_go_when_the_next_is_sealed_and_not_for_a_bad_one(tmp_path: Path) -> None:
    sealing = SealCheckpoints("of this work", 2)
    for step in (2, 4, 6):
        assert save(sealing, tmp_path, step)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-4", "checkpoint-6"]
    assert save(sealing, tmp_path, 8, float("nan")) is None
    assert [path.name for path in checkpoints(tmp_path)] == [
        "checkpoint-4",
        "checkpoint-6",
        "checkpoint-8",
    ]


def saves(sealing: SealCheckpoints, step: int) -> bool:
    control = SimpleNamespace(should_save=False)
    sealing.on_step_end(None, SimpleNamespace(global_step=step), control)
    return control.should_save


def test_the_first_checkpoint_comes_after_minutes(tmp_path: Path) -> None:
    seconds = iter([0.0, 100.0, 100.0 + FIRST_SECONDS - 1, 100.0 + FIRST_SECONDS])
    sealing = SealCheckpoints("of this work", None, lambda: next(seconds))
    sealing.on_train_begin(None, SimpleNamespace(global_step=0), None)
    assert not saves(sealing, 4), "too early"
    assert not saves(sealing, 5), "the ranks ask each other at powers of two alone"
    assert saves(sealing, 8)
    save(sealing, tmp_path, 8)
    assert not saves(sealing, 16), "then the recipe's own come"


def test_a_resumed_training_has_a_checkpoint_already() -> None:
    sealing = SealCheckpoints("of this work", None, iter([0.0, 0.0, 9e9]).__next__)
    sealing.on_train_begin(None, SimpleNamespace(global_step=4), None)
    assert not saves(sealing, 8)


def trainer(*callbacks: Any) -> Any:
    args = SimpleNamespace(
        save_total_limit=2, restore_callback_states_from_checkpoint=False, eval_on_start=True
    )
    handler = SimpleNamespace(callbacks=list(callbacks))
    return SimpleNamespace(
        args=args, callback_handler=handler, add_callback=handler.callbacks.append
    )


def test_a_training_that_begins_is_not_complete_and_takes_rotation_over(tmp_path: Path) -> None:
    config = {"base_model": "some/model"}
    (tmp_path / COMPLETED).touch()
    save(SealCheckpoints(binding_of(config), None), tmp_path, 2)
    save(SealCheckpoints("of another", None), tmp_path, 4)
    guarded = trainer()
    assert guard_checkpoints(guarded, tmp_path, config) == binding_of(config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "torn"]
    assert (guarded.args.save_total_limit, guarded.args.eval_on_start) == (None, False)
    assert guarded.callback_handler.callbacks[-1].keep == 2


def test_early_stopping_goes_on_counting(tmp_path: Path) -> None:
    for callbacks, restored in (([], False), ([EarlyStoppingCallback(3)], True)):
        guarded = trainer(*callbacks)
        guard_checkpoints(guarded, tmp_path, {"base_model": "some/model"})
        assert guarded.args.restore_callback_states_from_checkpoint is restored
        assert guarded.args.eval_on_start, "nothing to resume from: the start is evaluated"


def test_what_axolotls_command_line_changes_counts_as_given(tmp_path: Path) -> None:
    path = tmp_path / "axolotl.yml"
    path.write_text(FILE)
    plain = {"base_model": "some/model", "learning_rate": 5e-05, "bf16": True, "output_dir": "out"}
    # As Axolotl reads the file (YAML 1.1: a string), with its launcher's own options.
    cfg = plain | {
        "learning_rate": "5e-05",
        "axolotl_config_path": str(path),
        "debug": False,
        "debug_num_examples": 0,
    }
    assert given(cfg) == plain
    assert given(cfg | {"bf16": False, "max_steps": 3}) == plain | {"bf16": False, "max_steps": 3}
    filled_in = cfg | {"use_ray": True, "dpo_beta": 0.1}
    assert given(filled_in) == plain, "a worker of Ray's sees defaults as well"
