"""The finished demo that faults are tried on: its stages copied, and one stage done in peace.

Each stage under trial is far smaller than the demo's: a few steps, a few rows.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from stemma import ROOT
from stemma.chain import upstream
from stemma.freshness import is_fresh
from stemma.recipe.load import load
from stemma.runs import Run
from tests.faults.commands import command, start

QUICK = "FAULTS_QUICK" in os.environ
SEED = int(os.environ.get("FAULTS_SEED", "15"))
PACE = float(os.environ.get("FAULTS_PACE", "1"))
"""By how much a stage takes longer now than when the bed was made."""
RUNS = Path(os.environ.get("FAULTS_RUNS", ROOT / "runs")).absolute()
STEPS = {"max_steps": "6", "save_steps": "2"}
FEW_VARIANTS = "[base, dpo, gguf-Q4_K_M, gguf-Q4_K_M+retrieved]"
SETTINGS: dict[str, dict[str, str]] = {
    "data": {
        "data.corpus.sources.0.limit": "200",
        "data.sft.sources.0.limit": "200",
        "data.dpo.sources.0.limit": "200",
        "data.dpo.sources.1.limit": "24",
        "data.mcq.sources.0.limit": "200",
    },
    **{
        stage: {f"{stage}.{key}": value for key, value in STEPS.items()}
        for stage in ("base", "sft", "dpo", "mcq")
    },
    "export": {
        "export.bitsandbytes": "[nf4]",
        "export.gguf.types": "[F16, Q4_K_M]",
        "eval.variants": FEW_VARIANTS,
    },
    "rag": {},
    "eval": {
        "eval.variants": FEW_VARIANTS,
        "eval.tasks": "[{task: mcq, limit: 8}, {task: preference, limit: 8}, "
        "{task: generation, limit: 8}]",
        "eval.judge.0.questions": "8",
    },
    "report": {},
}
"""By stage, what makes it small enough to be done many times."""
VARYING = {"history", "html", "markdown", "results", "axolotl"}
"""Outputs that hold seconds or paths: they are there again, but not byte by byte."""


def copied(stage: str, to: Path) -> Path:
    """A folder of runs of its own that holds all that `stage` reads."""
    for name in upstream(load("tiny"), stage):
        shutil.copytree(RUNS / "tiny" / name, to / "tiny" / name)
    to.mkdir(parents=True, exist_ok=True)
    return to


@dataclass(frozen=True)
class Calm:
    """A stage done in peace: how long it took, its bytes, and the digests of its outputs."""

    seconds: float
    grown_bytes: int
    digests: dict[str, str]


def bytes_of(folder: Path) -> int:
    """The bytes of a folder's files; what has two names, as weights taken over have, once."""
    files = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum({found.st_ino: found.st_size for found in files}.values())


def digests(runs: Path, stage: str) -> dict[str, str]:
    """The digest of each output as it lies there, of those that vary its name alone."""
    found = Run(runs / "tiny").manifest(stage).outputs
    return {name: "" if name in VARYING else output.sha256 for name, output in found.items()}


@cache
def calm(stage: str, place: Path) -> Calm:
    """The stage, done once in `place` for all trials of it; or the bed's own, where it is this
    very work."""
    recipe = load("tiny", [f"{key}={value}" for key, value in SETTINGS[stage].items()])
    if is_fresh(recipe, Run(RUNS / "tiny"), stage):
        own = Run(RUNS / "tiny").manifest(stage)
        took = datetime.fromisoformat(own.end) - datetime.fromisoformat(own.start)
        folder = RUNS / "tiny" / stage
        seconds = PACE * (took.total_seconds() + 1)
        return Calm(seconds, bytes_of(folder), digests(RUNS, stage))
    runs = copied(stage, place / f"calm-{stage}")
    before = bytes_of(runs)
    began = time.monotonic()
    attempt = start(command(stage, runs, SETTINGS[stage]), place / f"calm-{stage}.log")
    assert attempt.finish() == 0, attempt.said[-3000:]
    seconds = time.monotonic() - began
    return Calm(seconds, bytes_of(runs) - before, digests(runs, stage))


def assert_whole(runs: Path, stage: str, wanted: Calm) -> None:
    """The stage is done as in peace, and nothing half-made is left of what stopped it."""
    assert digests(runs, stage) == wanted.digests
    assert sorted(path.name for path in (runs / "tiny" / stage).rglob("*.part")) == []
