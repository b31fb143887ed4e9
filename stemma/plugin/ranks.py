"""This process's place among the training processes."""

from __future__ import annotations

import os


def ranks() -> int:
    """The number of training processes; 0: started without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "0"))


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))
