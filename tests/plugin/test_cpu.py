"""DeepSpeed on a CPU."""

from __future__ import annotations

import sys

import pytest

from stemma.plugin.cpu import let_deepspeed_run_on_cpu, refuse_ranks_apart


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
    with pytest.raises(RuntimeError, match="2 CPU ranks without `deepspeed`: each would train a model of its own"):
        refuse_ranks_apart({})
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    with pytest.raises(RuntimeError, match="ACCELERATE_USE_CPU switches DeepSpeed off"):
        refuse_ranks_apart({"deepspeed": "zero1.json"})
    monkeypatch.setenv("WORLD_SIZE", "1")
    refuse_ranks_apart({})
