"""The whole chain through the real command line, at a fraction of its size: kills, resumption, freshness, sharing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.runs import Run

SMALL = {
    "base.max_steps": "40",
    "train.max_steps": "12",
    "train.save_steps": "4",
    "dpo.num_epochs": "1",
    "eval.tasks": "[{task: mcq, limit: 8}, {task: preference, limit: 8}, {task: generation, limit: 8}]",
}
STAGES = ("data", "base", "sft", "dpo", "mcq", "export", "rag", "eval", "report")


def command(verb: str, recipe: str, runs: Path, *more: str) -> list[str]:
    overrides = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    return [sys.executable, "-m", "stemma", verb, recipe, *overrides, "--runs", str(runs), *more]


def stemma(verb: str, recipe: str, runs: Path, *more: str) -> dict[str, str]:
    """What the verb says of each stage."""
    done = subprocess.run(
        command(verb, recipe, runs, *more), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(
        line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith(STAGES)
    )


def kill_when(there: Path, pattern: str, arguments: list[str]) -> None:
    """Start a command and `kill -9` it once a file matching `pattern` lies under `there`."""
    child = subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 300
    while not any(there.glob(pattern)):
        assert child.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, f"no {pattern} in {there}"
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


def digests(run: Run, stage: str) -> dict[str, str]:
    return {name: output.sha256 for name, output in run.manifest(stage).outputs.items()}


@pytest.mark.slow
def test_the_chain_survives_kills_and_shares_its_stages(tmp_path: Path) -> None:
    runs, again = tmp_path / "runs", tmp_path / "again"
    run = Run(runs / "tiny")
    stemma("data", "tiny", runs)
    stemma("base", "tiny", runs)
    shutil.copytree(runs, again)

    kill_when(
        run.folder("sft"), "training/checkpoint-*/trainer_state.json", command("sft", "tiny", runs)
    )
    assert run.read_manifest("sft") is None
    stemma("sft", "tiny", runs)
    stemma("sft", "tiny", again)
    killed, whole = digests(run, "sft"), digests(Run(again / "tiny"), "sft")
    assert killed["adapter"] == whole["adapter"]
    assert killed["merged"] == whole["merged"]

    stemma("dpo", "tiny", runs)
    stemma("mcq", "tiny", runs)
    kill_when(run.folder("export"), "merged/model.safetensors", command("export", "tiny", runs))
    assert run.read_manifest("export") is None
    stemma("export", "tiny", runs)
    resumed = digests(run, "export")
    stemma("export", "tiny", runs, "--force")
    assert digests(run, "export") == resumed

    stemma("all", "tiny", runs)
    assert stemma("all", "tiny", runs) == dict.fromkeys(STAGES, "up to date")
    assert (run.output("report", "html")).stat().st_size > 10_000

    shared = stemma("all", "tiny-base-dpo", runs)
    assert {shared["data"], shared["base"]} == {"reused"}
    assert "sft" not in shared
    assert shared["report"].startswith("done")
