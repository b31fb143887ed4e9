"""Silence for what the engines say at import, and for their progress bars.

None of it is about the user's work: optional CUDA libraries that did not load on a machine without
a GPU, deprecations inside torch, bars of a tenth of a second. Errors still come through.
"""

from __future__ import annotations

import logging
import os

CHATTY = ("torchao", "torch.utils._pytree", "bitsandbytes.backends.cpu.ops", "DeepSpeed")


def quieten() -> None:
    """Silence the engines; to be called before they are imported."""
    for name in CHATTY:
        # A filter, not a level: DeepSpeed sets its own level when it is imported.
        logging.getLogger(name).addFilter(lambda record: record.levelno >= logging.ERROR)
    # Downloads and long work are shown by `stemma.progress`, in one line.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
