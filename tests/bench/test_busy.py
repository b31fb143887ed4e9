"""The bench of waiting threads, with work that is not OpenMP's."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import busy


def test_the_table_by_hand() -> None:
    idle = {"a": [2.0, 1.0, 4.0], "b": [3.0, 1.1, 2.0]}
    lines = busy.table(idle, {"a": [100.0, 300.0, 200.0], "b": [10.0, 30.0, 20.0]})
    assert lines[2:] == [
        "| a | 2 (1–4) | 200 (100–300) | 1.00 | 1.000 |",
        "| b | 2 (1.1–3) | 20 (10–30) | 1.10 | 0.100 |",
    ]


def test_time_of_a_work_is_counted_by_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def work() -> None:
        now[0] += 0.03

    # Four turns pass 0.1 s; the clock is the test's own, so that a busy machine changes nothing.
    monkeypatch.setattr(busy, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    assert busy.seconds_each(work, 0.1) == pytest.approx(0.12 / 4)


def test_the_load_ends_with_its_measurement() -> None:
    before = children()
    with busy.busy(2):
        running = children() - before
        assert len(running) == 2
    assert children() == before


def children() -> set[str]:
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(task.read_text(encoding="ascii").split())


@pytest.mark.slow
def test_every_setting_is_measured_idle_and_beside_the_load() -> None:
    given = argparse.Namespace(load=1, rounds=1, seconds=0.1)
    idle, loaded = busy.rounds(busy.TRAIN, given)
    for found in (idle, loaded):
        assert list(found) == list(busy.SETTINGS)
        assert all(len(values) == 1 and values[0] > 0 for values in found.values())


def test_a_child_that_fails_stops_the_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], text=True, **pipes)

    monkeypatch.setattr(busy, "start", start)
    with pytest.raises(SystemExit, match="a child ended with code 3"):
        busy.rounds(busy.TRAIN, argparse.Namespace(load=1, rounds=1, seconds=0.1))
