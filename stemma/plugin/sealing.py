"""Seals a checkpoint when it is whole (why: `stemma.training.checkpoints`), and only then deletes older ones."""

from __future__ import annotations

import os
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
from stemma.processes import COMPLETED
from stemma.training.checkpoints import SEAL, Seal, binding_of, checkpoints, put_in_order, sizes

LOG = get_logger(__name__)


def given(cfg: dict[str, Any]) -> dict[str, Any]:
    """Axolotl's file, with what its command line changed of it. `cfg` is what Axolotl made of both, before it fills in
    defaults."""
    text = Path(cfg["axolotl_config_path"]).read_text(encoding="utf-8")
    config: dict[str, Any] = YAML(typ="safe").load(text)
    if cfg.get("use_ray"):  # its workers are given a config filled in already
        return config
    as_read = yaml.safe_load(text) | {"axolotl_config_path": cfg["axolotl_config_path"]}
    # The launcher passes on options of its own, all of them off.
    options = {name: value for name, value in cfg.items() if value or name in as_read}
    return config | {name: value for name, value in options.items() if value != as_read.get(name)}


def guard_checkpoints(trainer: Any, output: Path, config: dict[str, Any]) -> str:
    """Also by hand: left alone, Axolotl goes on from any checkpoint. Returns this training's binding, on rank 0."""
    binding = binding_of(config) if rank() == 0 else ""
    if rank() == 0:
        (output / COMPLETED).unlink(missing_ok=True)  # of a training before: this one has only begun
        for line in put_in_order(output, binding, world_size()):
            LOG.warning(line)
    wait_for_all()
    trainer.add_callback(SealCheckpoints(binding, trainer.args.save_total_limit))
    trainer.args.save_total_limit = None  # it would delete the one before while this one is not yet sealed
    if checkpoints(output):
        trainer.args.eval_on_start = False  # that step was evaluated when it was reached; early stopping counts
    # How often the validation loss did not fall; other training than early stopping has no such state.
    stops_early = any(isinstance(callback, EarlyStoppingCallback) for callback in trainer.callback_handler.callbacks)
    trainer.args.restore_callback_states_from_checkpoint = stops_early
    return binding


def wait_for_all() -> None:
    if world_size() > 1:
        torch.distributed.barrier()


def world_size() -> int:
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if several else 1


class SealCheckpoints(TrainerCallback):
    """Comes last of the callbacks, so that nothing is written after it."""

    def __init__(self, binding: str, keep: int | None) -> None:
        self.binding, self.keep = binding, keep

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        wait_for_all()  # every rank writes its own part of the optimizer
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # Weights that are no numbers come one step before a loss that is none: never a place to go on from.
        if rank() == 0 and not not_finite(folder):
            self._seal(folder, state.global_step)
            rotate_checkpoints(args.output_dir, self.keep, state.best_model_checkpoint)

    def _seal(self, folder: Path, step: int) -> None:
        files = sizes(folder)
        for name in files:
            _to_disk(folder / name)
        seal = Seal(step=step, processes=world_size(), binding=self.binding, files=files)
        write_json(folder / SEAL, seal.model_dump())


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
