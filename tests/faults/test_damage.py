"""A byte, an end or a whole file lost between two stages: the next stage says so."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.chain import TRAINED
from stemma.digests import files_under
from stemma.runs import Run
from tests.faults.bed import SEED, SETTINGS, assert_whole, calm, copied
from tests.faults.commands import command, start

pytestmark = pytest.mark.faults

READS: dict[str, tuple[str, ...]] = {
    "base": ("data/corpus/train",),
    "sft": ("data/sft/train", "data/sft/validation", "base/merged"),
    "dpo": ("data/dpo/train", "data/dpo/validation", "sft/merged"),
    "mcq": ("data/mcq/train", "data/mcq/validation", "dpo/merged"),
    "export": ("data/sft/test", "data/dpo/test", "data/mcq/test", "base/merged", "mcq/adapter"),
    "rag": ("data/sft/test", "data/mcq/test"),
    "eval": (
        "data/mcq/test",
        "data/dpo/test",
        "data/sft/test",
        "base/merged",
        "dpo/merged",
        "export/gguf-Q4_K_M",
        "rag/database",
    ),
    "report": ("data/statistics", "sft/history", "rag/fitted", "eval/results", "eval/verdicts"),
}
"""What each stage reads of the stages before it, as `stage/output`."""
KINDS = ("flipped", "truncated", "missing")


def hurt(path: Path, kind: str, draw: random.Random) -> bytes:
    """Damage a file; returns what it held."""
    held = path.read_bytes()
    at = draw.randrange(len(held) // 4, len(held))
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(held[:at])
    else:
        path.write_bytes(held[:at] + bytes([held[at] ^ 1]) + held[at + 1 :])
    return held


def file_of(runs: Path, read: str) -> tuple[Path, Path]:
    """An output, and the file to be hurt: itself, or the largest one of its folder."""
    stage, _, name = read.partition("/")
    path = Run(runs / "tiny").output(stage, name)
    return path, max(files_under(path), key=lambda file: file.stat().st_size)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", READS)
def test_damage_between_two_stages_is_told(
    stage: str, kind: str, place: Path, tmp_path: Path, seen: Callable[[str], None]
) -> None:
    runs = copied(stage, tmp_path / "runs")
    draw = random.Random(f"{SEED} {stage} {kind}")
    places = {read: file_of(runs, read) for read in READS[stage]}
    # What is gone is told by who asks for it first, what is damaged all at once.
    trials = [{read: one} for read, one in places.items()] if kind == "missing" else [places]
    for trial in trials:
        held = {file: hurt(file, kind, draw) for _, file in trial.values()}
        attempt = start(command(stage, runs, SETTINGS[stage]), tmp_path / "hurt.log")
        assert attempt.finish() == 2, attempt.said[-3000:]
        for read, (place_of, _) in trial.items():
            assert str(place_of) in attempt.said, f"{read}: {attempt.said}"
            assert f"make {read.partition('/')[0]} RECIPE=tiny" in attempt.said, attempt.said
        assert "Traceback" not in attempt.said
        assert Run(runs / "tiny").read_manifest(stage) is None
        for file, content in held.items():
            file.write_bytes(content)
    told = f"{len(places)} of {len(places)} files (seed {SEED}): exit 2, told, no manifest"
    # A training or evaluation more, of what is whole again, would show no more.
    if kind == "flipped" and stage not in (*TRAINED, "eval"):
        attempt = start(command(stage, runs, SETTINGS[stage]), tmp_path / "whole.log")
        assert attempt.finish() == 0, attempt.said[-3000:]
        assert_whole(runs, stage, calm(stage, place))
        told += "; put back, exit 0 and the same outputs"
    seen(told)
