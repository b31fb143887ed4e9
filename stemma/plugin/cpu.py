"""DeepSpeed on CPU ranks, over gloo: what it, Axolotl or accelerate expect of an accelerator.

And a refusal of what trains on several CPU ranks without it.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import torch

from stemma.plugin.ranks import ranks
from stemma.training.precision import cpu_has_bfloat16, settle


def refuse_ranks_apart(cfg: dict[str, Any]) -> None:
    """Refuse CPU ranks that would share out the rows and never exchange gradients, silently.

    Raises RuntimeError.
    """
    count = ranks()
    if count > 1 and not cfg.get("deepspeed"):
        told = f"{count} CPU ranks without `deepspeed`: each would train a model of its own"
        raise RuntimeError(told)
    switched_off = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("1", "true", "yes")
    if count > 1 and switched_off:
        raise RuntimeError("ACCELERATE_USE_CPU switches DeepSpeed off, silently: unset it")


def look_for_no_gpus() -> None:
    """Keep Axolotl from asking, for two ranks, whether their GPUs reach each other.

    A CUDA build of torch without a driver, which is what PyPI gives a laptop, raises there ("Found
    no NVIDIA driver").
    """
    environment: Any = import_module("axolotl.utils.environment")
    environment.check_cuda_p2p_support = lambda: True


def let_deepspeed_run_on_cpu(cfg: dict[str, Any]) -> None:
    """Make DeepSpeed and accelerate agree on gloo, without an accelerator."""
    from accelerate import DistributedType, PartialState

    # DeepSpeed's shared-memory collectives compile for minutes on first use; gloo does the same
    # work. (By import_module: as an attribute of deepspeed.comm, `torch` is torch itself.)
    collectives: Any = import_module("deepspeed.comm.torch")
    collectives.build_shm_op = lambda: None
    if ranks() == 1 and not torch.distributed.is_initialized():
        # Axolotl asks for nccl when there is one process; an existing group is taken as it is.
        torch.distributed.init_process_group("gloo")
    if ranks() > 1:
        # accelerate picks no backend for DeepSpeed on CPU: every rank would believe it is alone.
        backend = ("gloo", DistributedType.MULTI_CPU)
        PartialState._prepare_backend = lambda *_, **__: backend
        # Otherwise Axolotl puts each rank's weights on the device of its number, which CPUs have
        # not.
        cfg.setdefault("max_memory", {"cpu": "64GiB"})


def let_bfloat16_train_on_cpu(cfg: dict[str, Any]) -> None:
    """Settle `bf16: auto` by what this CPU can, and keep transformers from asking for a GPU.

    Stemma's own launcher has settled it already; this is for a training by hand.
    """
    import transformers.training_args as arguments

    cfg.update(settle(cfg, gpu=False, bfloat16=cpu_has_bfloat16()))
    arguments.is_torch_bf16_gpu_available = lambda: True
