"""An Axolotl plugin for `bench.scaling`.

After every optimizer step it notes the time and the bytes that loopback has carried.

In a network namespace of their own the ranks are the only ones that use loopback, so its counter is
what they exchange.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback

from stemma.jsonl import write_json

STEPS = "steps.json"


def loopback_bytes() -> int:
    """Received so far: on loopback every byte sent is received once."""
    lines = Path("/proc/net/dev").read_text(encoding="ascii").splitlines()
    return next(
        int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("lo:")
    )


class Notes(TrainerCallback):
    def __init__(self) -> None:
        self.steps: list[tuple[float, int]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.steps.append((time.perf_counter(), loopback_bytes()))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            write_json(Path(args.output_dir) / STEPS, {"steps": self.steps})


class StepMeter(BasePlugin):
    def post_trainer_create(self, cfg: Any, trainer: Any) -> None:
        trainer.add_callback(Notes())
