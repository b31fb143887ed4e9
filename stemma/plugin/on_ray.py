"""Under Ray Train, which starts the workers in torchrun's place: what Axolotl's driver decides wrongly for them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from stemma.plugin.ranks import ranks


def count_all_workers(cfg: dict[str, Any]) -> None:
    """The driver is alone and writes `ddp: false` for its workers; each then reckons its epochs as if it were alone
    too, and N workers would train N times as long."""
    if ranks() > 1:
        cfg["ddp"] = None


def take_gloo() -> None:
    """Axolotl asks Ray for GPUs, so Ray takes nccl and tells accelerate of a GPU. Where a cluster only declares them
    (`RAY_OVERRIDE_RESOURCES`), gloo and the CPU do the same work."""
    config = import_module("ray.train.torch.config").TorchConfig
    backend, *others = config.__init__.__defaults__
    config.__init__.__defaults__ = (backend or "gloo", *others)
    os.environ.pop("ACCELERATE_TORCH_DEVICE", None)
