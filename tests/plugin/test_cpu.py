"""DeepSpeed on a CPU."""

from __future__ import annotations

import sys

import pytest

from stemma.plugin.cpu import let_deepspeed_run_on_cpu


def test_deepspeed_compiles_no_collectives_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    config: dict[str, object] = {}
    let_deepspeed_run_on_cpu(config)
    assert sys.modules["deepspeed.comm.torch"].build_shm_op() is None
    assert config == {}, "one process needs no device map"
