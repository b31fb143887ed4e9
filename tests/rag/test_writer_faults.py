"""Real kills, and a disk that is really full."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.writer import EMBEDDED_AT_ONCE, DatabaseWriter
from stemma import ROOT
from stemma.digests import digest_of, files_under, size_of
from stemma.retrieval.database import Database
from tests.factories.retrieval import LetterEmbedder, facts, passage

BUILD = """
import sys, time
from pathlib import Path
from rag.writer import DatabaseWriter
from stemma.errors import UserError
from tests.factories.retrieval import LetterEmbedder, facts, passage

class Logged(LetterEmbedder):
    def passages(self, texts):
        time.sleep(float(sys.argv[4]))
        with Path(sys.argv[2]).open("a") as log:
            log.writelines(text.split()[0] + "\\n" for text in texts)
        return super().passages(texts)

made = [passage(f"p{n}", f"own{n} " + "word " * 200) for n in range(int(sys.argv[3]))]
try:
    with DatabaseWriter(Path(sys.argv[1]), Logged(), 50_000_000) as writer:
        writer.add(made)
        writer.finish(facts())
except UserError as error:
    sys.exit(f"UserError: {error}")
"""


def start(folder: Path, log: Path, count: int, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD, str(folder), str(log), str(count), str(pause)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )


def build_on(folder: Path, count: int) -> None:
    """A build of `count` passages, with an embedder that takes its time."""
    embedder = LetterEmbedder()
    quick = embedder.passages

    def slow(texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(0.01)
        return quick(texts)

    embedder.passages = slow  # type: ignore[method-assign]
    given = (
        passage(f"p{number}", f"own{number} words {number % 7} of them", source=f"s{number % 3}")
        for number in range(count)
    )
    # Little room: the end deletes what is too much and lays the file out anew.
    with DatabaseWriter(folder, embedder, 600_000) as writer:
        writer.add(given)
        writer.mark_contaminated(f"p{number}" for number in range(0, count, 9))
        writer.finish(facts())


def kill_after(seconds: float, folder: Path, count: int) -> bool:
    """Whether a build in a process of its own was killed before it had ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    child = context.Process(target=build_on, args=(folder, count))
    child.start()
    child.join(seconds)
    child.kill()
    child.join()
    return child.exitcode == -signal.SIGKILL


def test_kills_at_any_moment_leave_the_same_bytes_in_the_end(tmp_path: Path) -> None:
    count = 4500
    begun = time.monotonic()
    build_on(tmp_path / "calm", count)
    whole = time.monotonic() - begun
    calm = {path.name: digest_of(path) for path in files_under(tmp_path / "calm")}
    with Database.open(tmp_path / "calm") as database:
        assert 0 < database.facts.left_out < database.count
    drawn = random.Random(3)
    for work in ("a", "b"):
        folder = tmp_path / work / "db"
        kills = [kill_after(drawn.uniform(0, whole / 2), folder, count) for _ in range(6)]
        assert kills.count(True) >= 3
        build_on(folder, count)
        assert {path.name: digest_of(path) for path in files_under(folder)} == calm
        assert [path.name for path in folder.parent.iterdir()] == ["db"]


@pytest.mark.slow
def test_kill_9_embeds_nothing_twice_that_was_written(tmp_path: Path) -> None:
    folder, log, count = tmp_path / "db", tmp_path / "log", 4000
    log.touch()
    killed = 0
    for wanted in (600, 1700, 2800):
        process = start(folder, log, count, pause=0.1)
        while process.poll() is None and log.read_text().count("\n") < wanted:
            time.sleep(0.01)
        if process.poll() is None:
            killed += 1
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not folder.exists()
    process = start(folder, log, count)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    embedded = log.read_text().split()
    assert killed == 3
    assert set(embedded) == {f"own{number}" for number in range(count)}
    # A kill between the vectors and their commit costs one transaction at most.
    assert len(embedded) - count <= killed * EMBEDDED_AT_ONCE
    with Database.open(folder) as database:
        database.verify()
        assert [one.id for one in database.passages(range(count))] == [
            f"p{number}" for number in range(count)
        ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 4 MB, which only root can mount."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place  # type: ignore[misc]
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_told_and_the_build_goes_on_later(small_disk: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 2_600_000)
    process = start(small_disk / "db", log, 1500)
    error = process.communicate()[1]
    assert process.returncode == 1
    assert "UserError" in error
    assert "the disk is full" in error
    assert "it goes on where it stopped" in error
    assert "Traceback" not in error
    before = len(log.read_text().split())
    ballast.unlink()
    process = start(small_disk / "db", log, 1500)
    assert process.communicate()[1] == ""
    assert before > 0
    assert len(log.read_text().split()) - 1500 <= EMBEDDED_AT_ONCE
    assert size_of(small_disk / "db") < 4_000_000
    with Database.open(small_disk / "db") as database:
        database.verify()
        assert database.count == 1500
