"""Training stages as processes of the command line, and what they leave."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from stemma import ROOT
from stemma.jsonl import read_dicts
from stemma.runs import Run


def start(verb: str, recipe: Path, runs: Path, batch: int, **given: Any) -> subprocess.Popen[str]:
    """`python -m stemma VERB`, in a namespace, with overrides `sets` and the variables given."""
    inside = ["ip", "netns", "exec", given.pop("namespace")] if "namespace" in given else []
    command = [sys.executable, "-m", "stemma", verb, str(recipe), "--runs", str(runs)]
    settings = {"train.micro_batch_size": batch} | given.pop("sets", {})
    overrides = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    variables = (
        os.environ | {"OMP_NUM_THREADS": "1"} | {name: str(value) for name, value in given.items()}
    )
    return subprocess.Popen(
        [*inside, *command, *overrides],
        cwd=ROOT,
        env=variables,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(*processes: subprocess.Popen[str]) -> list[str]:
    """What each printed."""
    said = [process.communicate(timeout=600) for process in processes]
    assert [p.returncode for p in processes] == [0] * len(processes), "\n---\n".join(
        err[-3000:] for _, err in said
    )
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
    return [
        row["loss"]
        for row in read_dicts(Run(runs / "small").output(stage, "history"))
        if "loss" in row
    ]


def below(pid: int) -> Iterator[tuple[int, str]]:
    """All processes under this one, with their command lines."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child), Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
        yield from below(int(child))
