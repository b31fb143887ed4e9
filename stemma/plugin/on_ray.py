"""Training under Ray Train, which starts the workers in torchrun's place.

Axolotl's driver decides some things for its workers, and decides them wrongly.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from stemma.plugin.ranks import ranks


def count_all_workers(cfg: dict[str, Any]) -> None:
    """Let each worker count the others.

    The driver is alone and writes `ddp: false` for its workers; each then reckons its epochs as if
    it were alone too, and N workers would train N times as long.
    """
    if ranks() > 1:
        cfg["ddp"] = None


def take_gloo() -> None:
    """Make Ray take gloo and the CPU where a cluster only declares GPUs (`RAY_OVERRIDE_RESOURCES`).

    Axolotl asks Ray for GPUs, so Ray takes nccl and tells accelerate of a GPU.
    """
    config = import_module("ray.train.torch.config").TorchConfig
    backend, *others = config.__init__.__defaults__
    config.__init__.__defaults__ = (backend or "gloo", *others)
    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
