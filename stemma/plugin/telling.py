"""Progress of a training for whoever started it: step, steps to come, losses, and before the first
step what is being prepared. Rank 0 alone speaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from stemma.heard import FILE, Telling
from stemma.plugin.ranks import rank
from stemma.progress import At, percent

FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "loss": ("loss", "{:.3g}".format),
    "eval_loss": ("held-out loss", "{:.3g}".format),
    "eval_rewards/accuracies": ("better answer preferred", percent),
}
"""What of the trainer's log is told, in which words."""

_telling = Telling(None)


def begin(output: Path) -> None:
    """Tell from now on, in a file beside the training's."""
    global _telling  # a process trains once
    if rank() == 0:
        output.mkdir(parents=True, exist_ok=True)
        _telling = Telling(output / FILE)


def tell(doing: str, done: int | None = None, total: int | None = None, unit: str = "") -> None:
    """Say what is being done, and how far it is."""
    _telling.tell(At(doing, done, total, unit))


class StepsTold(TrainerCallback):
    """Tells each step, as the trainer takes it; a resumed training begins at its own."""

    def __init__(self) -> None:
        self.figures: dict[str, str] = {}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._tell(state)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._tell(state)

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._tell(state, "scoring held-out rows")

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        logs = kwargs["logs"]
        for name, (words, form) in FIGURES.items():
            if isinstance(logs.get(name), int | float):
                self.figures[name] = f"{words} {form(logs[name])}"
        self._tell(state)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        tell("saving what was trained")

    def _tell(self, state: Any, *also: str) -> None:
        note = ", ".join([*self.figures.values(), *also])
        _telling.tell(At("training", state.global_step, state.max_steps, "steps", note))
