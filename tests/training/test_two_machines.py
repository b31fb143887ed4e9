"""Training over two machines: two network namespaces, torchrun's rendezvous, DeepSpeed, the real commands (slow)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stemma import ROOT
from stemma.jsonl import read_dicts
from stemma.runs import Run
from stemma.training.checkpoints import last_good
from tests.conftest import Write
from tests.networks import need_namespaces, two_machines
from tests.training.test_resume import below
from tests.training.test_run import LORA, run

__all__ = ["run"]  # the fixture: a run whose `data` and `base` are done

LOSS = 1e-5
ADAPTER = 1e-4
"""Of one rank at the same global batch: in losses, and in the adapter as a share of its length."""

pytestmark = pytest.mark.slow


@pytest.fixture
def machines() -> Iterator[list[tuple[str, str]]]:
    need_namespaces()
    with two_machines() as found:
        yield found


def start(verb: str, recipe: Path, runs: Path, batch: int, **given: Any) -> subprocess.Popen[str]:
    """`python -m stemma VERB`, in a namespace, with overrides `sets` and the variables given."""
    inside = ["ip", "netns", "exec", given.pop("namespace")] if "namespace" in given else []
    command = [sys.executable, "-m", "stemma", verb, str(recipe), "--runs", str(runs)]
    settings = {"train.micro_batch_size": batch} | given.pop("sets", {})
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in given.items()}
    return subprocess.Popen(
        [*inside, *command, *overrides], cwd=ROOT, env=variables, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    """What each printed."""
    said = [process.communicate(timeout=600) for process in processes]
    assert [p.returncode for p in processes] == [0] * len(processes), "\n---\n".join(err[-3000:] for _, err in said)
    return [out for out, _ in said]


def copied(run: Run, name: str) -> Path:
    """A folder of runs of its own, with the same data and base."""
    runs = run.root.parent.with_name(name)
    shutil.copytree(run.root.parent, runs)
    return runs


def adapter(runs: Path, stage: str) -> torch.Tensor:
    """All of B, which starts at zero: what training made. (A's random start would hide it.)"""
    tensors = load_file(Run(runs / "small").output(stage, "adapter") / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors) if ".lora_B." in name])


def losses(runs: Path, stage: str) -> list[float]:
    return [row["loss"] for row in read_dicts(Run(runs / "small").output(stage, "history")) if "loss" in row]


def test_two_machines_are_one(write_recipe: Write, run: Run, machines: list[tuple[str, str]]) -> None:
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
        assert (adapter(several, stage) - adapter(one, stage)).norm() / adapter(one, stage).norm() < ADAPTER


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
def test_a_machine_dies(write_recipe: Write, run: Run, machines: list[tuple[str, str]], victim: int) -> None:
    """The other fails and says so; the same commands go on, and end as if nothing had happened."""
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
