"""Real kills, and a disk that is really full."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.writer import EMBEDDED_AT_ONCE
from stemma import ROOT
from stemma.retrieval.database import Database
from stemma.runs import size_of

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
