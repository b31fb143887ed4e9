"""DeepSpeed on a CPU."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from axolotl.utils import environment, trainer

from stemma.plugin.cpu import let_deepspeed_run_on_cpu, look_for_no_gpus, refuse_ranks_apart

ASKED = environment.check_cuda_p2p_support
"""Axolotl's own, whatever was put in its place since."""


def test_deepspeed_compiles_no_collectives_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    config: dict[str, object] = {}
    let_deepspeed_run_on_cpu(config)
    assert sys.modules["deepspeed.comm.torch"].build_shm_op() is None
    assert config == {}, "one process needs no device map"


def test_ranks_that_would_train_apart_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    refuse_ranks_apart({"deepspeed": "zero1.json"})
    with pytest.raises(
        RuntimeError, match="2 CPU ranks without `deepspeed`: each would train a model of its own"
    ):
        refuse_ranks_apart({})
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(RuntimeError, match="ACCELERATE_USE_CPU switches DeepSpeed off"):
        refuse_ranks_apart({"deepspeed": "zero1.json"})
    monkeypatch.setenv("WORLD_SIZE", "1")
    refuse_ranks_apart({})


def no_driver(*_: Any) -> bool:
    """What `torch.cuda.can_device_access_peer` does in a CUDA build of torch on a machine without a
    driver."""
    raise RuntimeError("Found no NVIDIA driver on your system.")


def test_a_cuda_build_of_torch_needs_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", no_driver)
    monkeypatch.setattr(environment, "check_cuda_p2p_support", ASKED)
    with pytest.raises(RuntimeError, match="Found no NVIDIA driver"):
        trainer.check_cuda_p2p_ib_support()
    look_for_no_gpus()
    assert trainer.check_cuda_p2p_ib_support(), "nothing to switch off"
