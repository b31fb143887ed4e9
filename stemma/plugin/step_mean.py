"""A step's loss is the mean over all its trained tokens, however ranks and micro-batches share out its rows."""

from __future__ import annotations

from typing import Any


def average_over_the_step(trainer: Any) -> None:
    """Axolotl switches it off (`core/builders/base.py`): each rank then counts alike, its few trained tokens as much as
    another's many, and two ranks train another model than one. One process it leaves right.

    What is switched on is transformers' own: ranks tell each other their counts of trained tokens, and the model's loss
    divides its sum by the step's count.
    """
    trainer.args.average_tokens_across_devices = True
