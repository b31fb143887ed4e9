"""Traps of DeepSpeed, and of accelerate around it, on CPUs and with gradients."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.engines.bare import ONE_RANK, trap


def join(folder: Path, rank: int = 0, ranks: int = 1) -> None:
    """A group of CPU ranks over gloo."""
    import torch

    os.environ.update(
        ONE_RANK | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    )
    store = torch.distributed.FileStore(str(folder / "store"), ranks)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=ranks)


def engine_of(model: Any, stage: int, **settings: Any) -> Any:
    """A DeepSpeed engine, without the collectives that it would compile first."""
    import deepspeed
    import torch

    import_module("deepspeed.comm.torch").build_shm_op = lambda: None  # type: ignore[attr-defined]
    config = {
        "zero_optimization": {"stage": stage},
        "train_micro_batch_size_per_gpu": 1,
        **settings,
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    return engine


@trap("stemma/plugin/steps.py")
def test_a_step_is_left_out_without_a_word(folder: Path) -> bool:
    """Two steps, the second with infinite gradients: counted, not taken, not fp16."""
    import torch

    join(folder)
    engine = engine_of(torch.nn.Linear(2, 1), 0, bf16={"enabled": True})
    for factor in (1.0, float("inf")):
        engine.backward((engine(torch.ones(1, 2, dtype=torch.bfloat16)) * factor).sum())
        engine.step()
    assert engine.global_steps == 2
    return bool(engine.skipped_steps == 1 and not engine.fp16_enabled())


@trap("stemma/plugin/cpu.py (let_deepspeed_run_on_cpu: build_shm_op)")
def test_collectives_are_compiled_at_first_use(folder: Path) -> bool:
    """Seen where the compiler would be started."""
    import deepspeed

    join(folder)
    asked: list[bool] = []
    import_module("deepspeed.comm.torch").build_shm_op = lambda: asked.append(True)  # type: ignore[attr-defined]
    deepspeed.init_distributed("gloo", auto_mpi_discovery=False)
    return bool(asked)


@trap("stemma/plugin/cpu.py (let_deepspeed_run_on_cpu: PartialState)")
def test_accelerate_believes_each_cpu_rank_alone(folder: Path) -> bool:
    """One of two ranks.

    Without DeepSpeed it would never exchange gradients (`refuse_ranks_apart`).
    """
    from accelerate import DistributedType, PartialState

    os.environ.update(ONE_RANK | {"WORLD_SIZE": "2"})
    backend, kind = PartialState._prepare_backend(PartialState.__new__(PartialState))
    return bool(backend is None and kind == DistributedType.NO)


@trap("stemma/training/launch.py (environment: ACCELERATE_USE_CPU)")
def test_a_variable_switches_deepspeed_off(folder: Path) -> bool:
    """ACCELERATE_USE_CPU; the other variables are those of `accelerate launch --use_deepspeed`."""
    from accelerate import Accelerator, DistributedType

    os.environ.update({"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_USE_CPU": "true"})
    return bool(Accelerator().distributed_type != DistributedType.DEEPSPEED)
