"""Makes DeepSpeed train on CPU ranks, over gloo: things in which it, Axolotl or accelerate expect an accelerator.

And refuses what trains on several of them without it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import torch

from stemma.plugin.ranks import ranks
from stemma.training.precision import cpu_has_bfloat16, settle


def refuse_ranks_apart(cfg: dict[str, Any]) -> None:
    """Raises RuntimeError where CPU ranks would share out the rows and never exchange gradients, silently."""
    if ranks() > 1 and not cfg.get("deepspeed"):
        raise RuntimeError(f"{ranks()} CPU ranks without `deepspeed`: each would train a model of its own")
    if ranks() > 1 and os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes"):
        raise RuntimeError("ACCELERATE_USE_CPU switches DeepSpeed off, silently: unset it")


def look_for_no_gpus() -> None:
    """A CUDA build of torch without a driver, which is what PyPI gives a laptop, raises where Axolotl asks, for two
    ranks, whether their GPUs reach each other ("Found no NVIDIA driver")."""
    import_module("axolotl.utils.environment").check_cuda_p2p_support = lambda: True  # type: ignore[attr-defined]


def let_deepspeed_run_on_cpu(cfg: dict[str, Any]) -> None:
    from accelerate import DistributedType, PartialState

    # Its shared-memory collectives compile for minutes on first use; gloo does the same work.
    # (By import_module: as an attribute of deepspeed.comm, `torch` is torch itself.)
    import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]
    if ranks() == 1 and not torch.distributed.is_initialized():
        # Axolotl asks for nccl when there is one process; an existing group is taken as it is.
        torch.distributed.init_process_group("gloo")
    if ranks() > 1:
        # accelerate picks no backend for DeepSpeed on CPU: every rank would believe it is alone.
        PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_CPU)
        # Otherwise Axolotl puts each rank's weights on the device of its number, which CPUs have not.
        cfg.setdefault("max_memory", {"cpu": "64GiB"})


def let_bfloat16_train_on_cpu(cfg: dict[str, Any]) -> None:
    """By hand, too, `bf16: auto` is what this CPU can; and transformers, which asks for a GPU, lets it."""
    import transformers.training_args as arguments

    cfg.update(settle(cfg, gpu=False, bfloat16=cpu_has_bfloat16()))
    arguments.is_torch_bf16_gpu_available = lambda: True
