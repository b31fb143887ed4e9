"""A step's loss is the mean over all its trained tokens, however ranks and micro-batches share out its rows."""

from __future__ import annotations

from typing import Any


def average_over_the_step(trainer: Any) -> None:
    """Axolotl switches both off (`core/builders/base.py`, `core/trainers/base.py`): each micro-batch then counts alike,
    its few long answers as much as another's many, and two ranks train another model than one.

    What is switched on is transformers' own: ranks tell each other their counts of trained tokens, and the model's loss
    divides its sum by the step's count.
    """
    trainer.args.average_tokens_across_devices = True
    trainer.model_accepts_loss_kwargs = True
