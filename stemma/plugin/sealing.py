"""Seals a checkpoint when it is whole: `stemma.checkpoints` says what for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from stemma.checkpoints import SEAL, Seal, sizes
from stemma.jsonl import write_json
from stemma.plugin.evidence import not_finite
from stemma.plugin.ranks import rank


class SealCheckpoints(TrainerCallback):
    """Comes last of the callbacks, so that nothing is written after it."""

    def __init__(self, binding: str) -> None:
        self.binding = binding

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        if several:
            torch.distributed.barrier()  # every rank writes its own part of the optimizer
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        # Weights that are no numbers come one step before a loss that is none: never a place to go on from.
        if rank() == 0 and not not_finite(folder):
            files = sizes(folder)
            for name in files:
                _to_disk(folder / name)
            count = torch.distributed.get_world_size() if several else 1
            seal = Seal(step=state.global_step, processes=count, binding=self.binding, files=files)
            write_json(folder / SEAL, seal.model_dump())


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
