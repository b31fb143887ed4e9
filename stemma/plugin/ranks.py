"""Which of how many training processes this one is."""

from __future__ import annotations

import os


def ranks() -> int:
    return int(os.environ.get("WORLD_SIZE", "0"))  # 0: started without torchrun


def rank() -> int:
    return int(os.environ.get("RANK", "0"))
