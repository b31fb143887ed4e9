"""Training over two machines: two network namespaces, torchrun's rendezvous, DeepSpeed, the real
commands (slow)."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from stemma.runs import Run
from stemma.training.checkpoints import last_good
from tests.conftest import Write
from tests.factories.recipes import LORA
from tests.networks import need_namespaces, two_machines
from tests.training.commands import adapter, below, copied, finish, losses, start

LOSS = 1e-5
ADAPTER = 1e-4
"""Of one rank at the same global batch: in losses, and in the adapter as a share of its length."""

pytestmark = pytest.mark.slow


@pytest.fixture
def machines() -> Iterator[list[tuple[str, str]]]:
    need_namespaces()
    with two_machines() as found:
        yield found


def test_two_machines_are_one(
    write_recipe: Write, run: Run, machines: list[tuple[str, str]]
) -> None:
    recipe = write_recipe(("train:\n  adapter: lora\n  lora_r: 8\n", LORA))
    one, ranks, several = (copied(run, name) for name in ("one", "ranks", "several"))
    for stage in ("sft", "dpo"):
        finish(start(stage, recipe, one, batch=4))
        finish(start(stage, recipe, ranks, batch=2, GPUS=2))
        shared = {"NNODES": 2, "MASTER": f"{machines[0][1]}:29511"}
        both = [
            start(stage, recipe, several, batch=2, namespace=name, NODE_RANK=rank, **shared)
            for rank, (name, _) in enumerate(machines)
        ]
        leader, follower = finish(*both)
        assert leader.startswith(f"{stage:<7} done")
        assert follower == f"{stage:<7} joined\n"
        assert Run(several / "small").manifest(stage).facts["processes"] == 2
        assert torch.equal(adapter(several, stage), adapter(ranks, stage))
        assert losses(several, stage) == losses(ranks, stage)
        assert losses(several, stage) == pytest.approx(losses(one, stage), abs=LOSS)
        assert (adapter(several, stage) - adapter(one, stage)).norm() / adapter(
            one, stage
        ).norm() < ADAPTER


def start_both(
    machines: list[tuple[str, str]], recipe: Path, runs: Path, sets: dict[str, Any]
) -> list[subprocess.Popen[str]]:
    """`sft` on both, machine 0 first."""
    shared = {"NNODES": 2, "MASTER": f"{machines[0][1]}:29512", "sets": sets}
    return [
        start("sft", recipe, runs, batch=2, namespace=name, NODE_RANK=rank, **shared)
        for rank, (name, _) in enumerate(machines)
    ]


@pytest.mark.parametrize("victim", [0, 1])
def test_a_machine_dies(
    write_recipe: Write, run: Run, machines: list[tuple[str, str]], victim: int
) -> None:
    """The other fails and says so; the same commands resume, and end as if nothing had happened."""
    recipe = write_recipe(("train:\n  adapter: lora\n  lora_r: 8\n", LORA))
    sets = {"train.max_steps": 20, "train.num_epochs": 9, "train.save_steps": 3}
    ranks, several = copied(run, "ranks"), copied(run, "several")
    finish(start("sft", recipe, ranks, batch=2, GPUS=2, sets=sets))
    both = start_both(machines, recipe, several, sets)
    log = several / "small" / "sft" / "axolotl.log"
    deadline = time.monotonic() + 300
    while not log.is_file() or log.read_text(errors="replace").count("'loss': ") < 8:
        assert time.monotonic() < deadline
        assert both[victim].poll() is None
        time.sleep(0.01)
    for pid in [both[victim].pid, *(pid for pid, _ in below(both[victim].pid))]:
        os.kill(pid, signal.SIGKILL)
    said = both[1 - victim].communicate(timeout=200)[1]
    assert both[1 - victim].returncode == 1, said[-3000:]
    assert "axolotl ended (exit code 1) without completing" in said
    both[victim].communicate()
    assert Run(several / "small").read_manifest("sft") is None
    assert last_good(several / "small" / "sft" / "training") is not None
    finish(*start_both(machines, recipe, several, sets))
    assert torch.equal(adapter(several, "sft"), adapter(ranks, "sft"))
    assert losses(several, "sft") == losses(ranks, "sft")
