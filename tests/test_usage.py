"""Usage of a piece of work: a process tree's memory at its fullest, a folder's size, seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from stemma.usage import folder_bytes, free_memory, measuring, proportional_bytes, tree

HOLD = "import sys, time; data = b'x' * 300_000_000; print('held', flush=True); time.sleep(60)"


def test_a_childs_memory_counts_and_goes(tmp_path: Path) -> None:
    with measuring(tmp_path) as before:
        pass
    with measuring(tmp_path) as usage:
        child = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in tree(os.getpid())
        assert 300e6 < proportional_bytes(child.pid) < 400e6
        time.sleep(1.1)  # two samples
        child.kill()
        child.communicate()
    assert usage.memory - before.memory > 290e6
    assert usage.seconds > 1
    assert proportional_bytes(child.pid) == 0


def test_a_folder_at_its_fullest(tmp_path: Path) -> None:
    with measuring(tmp_path / "work") as usage:
        (tmp_path / "work" / "deep").mkdir(parents=True)
        (tmp_path / "work" / "deep" / "file").write_bytes(bytes(70_000))
        (tmp_path / "work" / "other").write_bytes(bytes(30_000))
        time.sleep(1.1)
        (tmp_path / "work" / "other").unlink()
    assert usage.disk == 100_000
    assert folder_bytes(tmp_path / "work") == 70_000
    assert folder_bytes(tmp_path / "absent") == 0


def test_grandchildren_are_of_the_tree() -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HOLD!r}])"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    found = tree(child.pid)
    assert len(found) == 2
    assert found[0] == child.pid
    os.kill(found[1], 9)
    child.communicate()


def test_free_memory() -> None:
    assert 10**8 < free_memory() < 10**14
