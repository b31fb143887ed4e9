"""Children are offline, send no telemetry, wait patiently, and end with the Stemma that started
them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.errors import StageFailed
from stemma.processes import (
    WAITING,
    child_environment,
    cores,
    die_with_stemma,
    last_lines,
    run_logged,
    run_program,
    run_python,
    thread_waiting,
)
from stemma.training import launch
from stemma.training.cluster import Cluster

SWITCHES = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
PRINT = f"import os; print({{name: os.environ.get(name) for name in {list(SWITCHES)}}})"


def test_every_child_is_offline_and_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.delenv(name, raising=False)
    command = [sys.executable, "-c", PRINT]
    assert run_program(command, child_environment()).stdout == f"{SWITCHES}\n"
    assert run_logged(command, launch.environment({}, tmp_path, Cluster()), tmp_path / "log") == 0
    assert (tmp_path / "log").read_text() == f"{SWITCHES}\n"


def test_a_failed_python_tells_the_end_of_its_stderr(tmp_path: Path) -> None:
    (tmp_path / "found_here.py").write_text(
        "print('nothing of this')\nraise SystemExit('the reason')\n"
    )
    with pytest.raises(StageFailed, match=r"^looking failed \(exit code 1\):\nthe reason$"):
        run_python(["-m", "found_here"], tmp_path, "looking")
    assert last_lines("a\nb\nc\n", 2) == "b\nc"


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run_program(["sleep", "60"], os.environ, timeout_seconds=0.1)


def test_a_trainer_that_starts_after_its_stemma_was_killed_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    monkeypatch.setenv("STEMMA_PID", str(dead.pid))
    with pytest.raises(SystemExit, match="Stemma was killed"):
        die_with_stemma()


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_the_users_own_choice_wins(name: str) -> None:
    assert thread_waiting({"OMP_NUM_THREADS": "2"}) == {"GOMP_SPINCOUNT": "1000"}
    assert thread_waiting({name: "1"}) == {}


def test_a_training_is_started_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)
    assert launch.environment({}, tmp_path, Cluster())["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert "GOMP_SPINCOUNT" not in launch.environment({}, tmp_path, Cluster())


def test_the_command_line_sets_it_before_an_engine_is_loaded() -> None:
    """libgomp reads its variables when it is loaded, and tells them; llama.cpp brings it here."""
    code = "from stemma.cli import main; main(['check', 'tiny']); import stemma.llama"
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "GOMP_", "KMP_"))
    }
    command = [sys.executable, "-c", code]
    shown = variables | {"OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run(command, cwd=ROOT, env=shown, capture_output=True, text=True, check=True)
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr


def test_only_cores_this_process_may_use_are_counted() -> None:
    found = os.sched_getaffinity(0)
    command = [sys.executable, "-c", "from stemma.processes import cores; print(cores())"]
    one = {"preexec_fn": lambda: os.sched_setaffinity(0, {min(found)})}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, **one)
    assert (cores(), done.stdout) == (len(found), "1\n")
