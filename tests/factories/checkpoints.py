"""Checkpoints as a training leaves them: sealed, whole, of a few bytes."""

from __future__ import annotations

from pathlib import Path

from stemma.jsonl import write_json
from stemma.training.checkpoints import SEAL, Seal, contents

BINDING = "of this work"
FILES = (
    "trainer_state.json",
    "adapter_model.safetensors",
    "rng_state_1.pth",
    "global_step4/zero_pp_rank_0_optim.pt",
)


def make_checkpoint(output: Path, step: int, binding: str = BINDING, processes: int = 1) -> Path:
    folder = output / f"checkpoint-{step}"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0123456789")
    write_json(
        folder / SEAL,
        Seal(step=step, processes=processes, binding=binding, files=contents(folder)).model_dump(),
    )
    return folder
