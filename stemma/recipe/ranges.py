"""Numbers that no training can have: Axolotl takes some of them, and stops hours later or trains
nothing. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

RANGES: tuple[tuple[str, Callable[[float], bool], tuple[str, ...]], ...] = (
    (
        "at least 1",
        lambda value: value >= 1,
        ("lora_r", "micro_batch_size", "gradient_accumulation_steps", "sequence_len", "max_steps"),
    ),
    (
        "above 0",
        lambda value: value > 0,
        ("learning_rate", "num_epochs", "lora_alpha", "rl_beta"),
    ),
    (
        "at least 0",
        lambda value: value >= 0,
        ("warmup_steps", "weight_decay", "max_grad_norm"),
    ),  # a norm of 0: no clipping
    ("at least 0 and at most 1", lambda value: 0 <= value <= 1, ("warmup_ratio",)),
    ("at least 0 and below 1", lambda value: 0 <= value < 1, ("lora_dropout",)),
)


def expected_of(key: str, value: Any) -> str:
    """The range an Axolotl key must keep to, where a number of its type is not; else nothing."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return next((text for text, fits, keys in RANGES if key in keys and not fits(value)), "")
