"""Sealing of checkpoints: when one is whole, and only then, older ones are deleted. The first is
written after some minutes, however far away the recipe's own first one is.

Why: `stemma.training.checkpoints`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml  # type: ignore[import-untyped]
from axolotl.utils.logging import get_logger
from ruamel.yaml import YAML
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_utils import rotate_checkpoints

from stemma.jsonl import write_json
from stemma.plugin.evidence import not_finite
from stemma.plugin.ranks import rank
from stemma.training.checkpoints import (
    SEAL,
    Seal,
    binding_of,
    checkpoints,
    contents,
    set_aside_unusable,
)
from stemma.training.completion import COMPLETED

LOG = get_logger(__name__)
FIRST_SECONDS = 300.0
"""A training so old has a checkpoint, or gets one soon: at the next step whose number is a power of
two, so that the ranks need to agree a few times only."""


def given(cfg: dict[str, Any]) -> dict[str, Any]:
    """Axolotl's file, with what its command line changed of it.

    `cfg` is what Axolotl made of both, before it fills in defaults.
    """
    path = cfg["axolotl_config_path"]
    text = Path(path).read_text(encoding="utf-8")
    config: dict[str, Any] = YAML(typ="safe").load(text)
    if cfg.get("use_ray"):  # its workers are given a config filled in already
        return config
    # As Axolotl reads it, in YAML 1.1: where a value is another there, the command line changed it.
    as_read = yaml.safe_load(text) | {"axolotl_config_path": path}
    # The launcher passes on options of its own, all of them off.
    options = {name: value for name, value in cfg.items() if value or name in as_read}
    changed = {name: value for name, value in options.items() if value != as_read.get(name)}
    return config | changed


def guard_checkpoints(trainer: Any, output: Path, config: dict[str, Any]) -> str:
    """Make the trainer resume from sealed checkpoints only; also in a training by hand.

    Left alone, Axolotl resumes from any checkpoint. Returns this training's binding, on rank 0.
    """
    binding = binding_of(config) if rank() == 0 else ""
    if rank() == 0:
        # Of a training before: this one has only begun.
        (output / COMPLETED).unlink(missing_ok=True)
        for line in set_aside_unusable(output, binding, world_size()):
            LOG.warning(line)
    wait_for_all()
    trainer.add_callback(SealCheckpoints(binding, trainer.args.save_total_limit))
    # The trainer would delete the one before while this one is not yet sealed.
    trainer.args.save_total_limit = None
    if checkpoints(output):
        # That step was evaluated when it was reached; a second time counts for early stopping.
        trainer.args.eval_on_start = False
    # How often the validation loss did not fall. Only early stopping has such a state to restore.
    trainer.args.restore_callback_states_from_checkpoint = any(
        isinstance(callback, EarlyStoppingCallback)
        for callback in trainer.callback_handler.callbacks
    )
    return binding


def wait_for_all() -> None:
    """Wait until every rank has come here."""
    if world_size() > 1:
        torch.distributed.barrier()


def world_size() -> int:
    """The number of training processes."""
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if several else 1


class SealCheckpoints(TrainerCallback):
    """A callback that seals each checkpoint; the last of all, so that nothing is written after."""

    def __init__(
        self, binding: str, keep: int | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`keep` is the number of checkpoints to keep; None: all."""
        self.binding = binding
        self.keep = keep
        self.clock = clock
        self.begun = clock()
        self.has_one = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.begun = self.clock()
        self.has_one = state.global_step > 0  # resumed from one

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        step: int = state.global_step
        if self.has_one or step & (step - 1):
            return
        if _as_rank_0_says(self.clock() - self.begun >= FIRST_SECONDS):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.has_one = True
        wait_for_all()  # every rank writes its own part of the optimizer
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # Weights that are no numbers come one step before a loss that is none: never to be resumed.
        if rank() == 0 and not not_finite(folder):
            self._seal(folder, state.global_step)
            rotate_checkpoints(args.output_dir, self.keep, state.best_model_checkpoint)

    def _seal(self, folder: Path, step: int) -> None:
        files = contents(folder)
        for name in files:
            _to_disk(folder / name)
        seal = Seal(step=step, processes=world_size(), binding=self.binding, files=files)
        write_json(folder / SEAL, seal.model_dump())


def _as_rank_0_says(mine: bool) -> bool:
    """The answer of rank 0: clocks differ, and all ranks must save at the same step."""
    if world_size() == 1:
        return mine
    said = [mine]
    torch.distributed.broadcast_object_list(said, src=0)
    return said[0]


def _to_disk(path: Path) -> None:
    """Wait until a file is on disk, not only in the system's memory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
