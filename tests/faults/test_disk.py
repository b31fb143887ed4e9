"""A disk that fills up in the middle, a folder that only reads, and two runs of one stage."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.chain import STAGES
from tests.faults.bed import RUNS, SEED, SETTINGS, assert_whole, bytes_of, calm, copied
from tests.faults.commands import command, start
from tests.faults.namespaces import READ_ONLY, SMALL_DISK, inside

pytestmark = pytest.mark.faults

FULL = ("cannot write: No space left on device", "cannot write: file write failed", "is full")
READING = ("status", "verify")


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_told_and_the_stage_goes_on_later(
    stage: str, place: Path, tmp_path: Path, seen: Callable[[str], None]
) -> None:
    wanted = calm(stage, place)
    source, there, back = copied(stage, tmp_path / "from"), tmp_path / "disk", tmp_path / "back"
    for folder in (there, back):
        folder.mkdir()
    free = int(random.Random(f"{SEED} {stage}").uniform(0.05, 0.9) * wanted.grown_bytes)
    done = inside(
        "-rm",
        SMALL_DISK,
        command(stage, there, SETTINGS[stage]),
        SIZE=bytes_of(source) + 16 * wanted.grown_bytes + 64 * 2**20,  # checkpoints come and go
        FREE=free,
        FROM=source,
        PLACE=there,
        TO=back,
        LOGS=tmp_path,
    )
    said = (tmp_path / "full.log").read_text(encoding="utf-8", errors="replace")
    assert done.stdout.split() == ["2", "0"], said[-3000:] + done.stderr
    assert any(words in said for words in FULL), said[-3000:]
    assert "Traceback" not in said
    manifests = (tmp_path / "manifests").read_text(encoding="utf-8").split()
    assert str(there / "tiny" / stage / "manifest.json") not in manifests
    assert_whole(back, stage, wanted)
    seen(
        f"{free / 1e3:,.0f} kB free of {wanted.grown_bytes / 1e3:,.0f} needed (seed {SEED}): exit 2, "
        "told without a traceback, no manifest; with room again exit 0 and the same outputs"
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_folder_that_only_reads_is_told(
    stage: str, tmp_path: Path, seen: Callable[[str], None]
) -> None:
    runs = copied(stage, tmp_path / "runs")
    done = inside("-rm", READ_ONLY, command(stage, runs, SETTINGS[stage]), PLACE=runs)
    if done.returncode == 99:
        pytest.skip(f"a folder cannot be made read-only here: {done.stderr.strip()}")
    assert done.returncode == 2, done.stderr[-3000:]
    assert "cannot write: Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    seen("exit 2, `cannot write: Read-only file system`, nothing written")


def test_a_finished_run_can_be_read_where_nothing_may_be_written(
    seen: Callable[[str], None],
) -> None:
    asked = [command(verb, RUNS, {}) for verb in READING]
    asked.append(command("chat", RUNS, {}, "Which unit measures force?"))
    for words in asked:
        done = inside("-rm", READ_ONLY, words, PLACE=RUNS)
        if done.returncode == 99:
            pytest.skip(f"a folder cannot be made read-only here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.strip()
    seen("`status`, `verify` and `chat` end with 0 on a read-only run")


@pytest.mark.parametrize("stage", STAGES)
def test_of_two_at_once_one_works(
    stage: str, place: Path, tmp_path: Path, seen: Callable[[str], None]
) -> None:
    wanted = calm(stage, place)
    runs = copied(stage, tmp_path / "runs")
    words = command(stage, runs, SETTINGS[stage])
    both = [start(words, tmp_path / f"{name}.log") for name in ("one", "other")]
    codes = sorted(attempt.finish() for attempt in both)
    said = [attempt.said for attempt in both]
    assert sum(f"{stage:<7} done" in text for text in said) == 1, said
    if codes == [0, 2]:
        assert any("another process is working here" in text for text in said), said
    else:  # the first was done before the second looked
        assert codes == [0, 0], said
        assert any(f"{stage:<7} up to date" in text for text in said), said
    assert_whole(runs, stage, wanted)
    other = "exit 2, `another process is working here`" if codes == [0, 2] else "up to date"
    seen(f"one exit 0 with the same outputs, the other {other}")
