"""SFT's loss as the mean over all trained tokens of an optimizer step.

However ranks and micro-batches share out the step's rows.
"""

from __future__ import annotations

from typing import Any


def average_over_the_step(trainer: Any) -> None:
    """Switch on transformers' own mean: ranks tell each other their counts of trained tokens.

    The model's loss then divides its sum by the step's count. Axolotl switches it off
    (`core/builders/base.py`): each rank then counts alike, its few trained tokens as much as
    another's many, and two ranks train another model than one. One process it leaves right.
    """
    trainer.args.average_tokens_across_devices = True
