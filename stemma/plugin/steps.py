"""Optimizer steps that were begun and not taken: DeepSpeed leaves one out and says nothing.

The trainer counts it all the same. In fp16 that is by design: the loss is scaled, and a gradient
that overflows halves the scale. In float32 and bfloat16 nothing is scaled; a gradient that is not
finite stays so, and the training would end well with the weights it had.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from stemma.plugin.evidence import stop


class StepsTaken(TrainerCallback):
    """A counter of the steps left out, which stops at the first that fp16 does not explain."""

    skipped = 0
    """Under DeepSpeed of the whole training; without it, in fp16, since it was last resumed."""

    def __init__(self, trainer: Any, output: Path) -> None:
        self.trainer = trainer
        self.output = output

    def count(self) -> int:
        return self.skipped

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        before = self.skipped
        self.skipped = self._left_out()
        engine = self.trainer.deepspeed
        if self.skipped > before and engine is not None and not engine.fp16_enabled():
            step = state.global_step
            found = f"DeepSpeed has left out {self.skipped} of {step} optimizer steps, silently"
            stop(self.output, step, f"{found}: the gradient of step {step} is not finite")

    def _left_out(self) -> int:
        engine = self.trainer.deepspeed
        if engine is None:
            return self.skipped + bool(self.trainer.accelerator.optimizer_step_was_skipped)
        return int(engine.skipped_steps)
