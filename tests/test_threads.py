"""How OpenMP's threads wait, in every process that Stemma starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.threads import CHOICES, cores, patient
from stemma.training import launch
from stemma.training.cluster import Cluster


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"])
def test_the_users_own_choice_wins(name: str) -> None:
    assert patient({"OMP_NUM_THREADS": "2"}) == {"GOMP_SPINCOUNT": "1000"}
    assert patient({name: "1"}) == {}


def test_a_training_is_started_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOICES:
        monkeypatch.delenv(name, raising=False)
    assert launch.environment({}, tmp_path, Cluster())["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    assert "GOMP_SPINCOUNT" not in launch.environment({}, tmp_path, Cluster())


def test_the_command_line_sets_it_before_an_engine_is_loaded() -> None:
    """libgomp reads its variables when it is loaded, and tells of them; llama.cpp brings it here."""
    code = "from stemma.cli import main; main(['check', 'tiny']); import stemma.llama"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_"))}
    command = [sys.executable, "-c", code]
    shown = variables | {"OMP_DISPLAY_ENV": "verbose"}
    done = subprocess.run(command, cwd=ROOT, env=shown, capture_output=True, text=True, check=True)
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr


def test_only_cores_this_process_may_use_are_counted() -> None:
    found = os.sched_getaffinity(0)
    command = [sys.executable, "-c", "from stemma.threads import cores; print(cores())"]
    one = {"preexec_fn": lambda: os.sched_setaffinity(0, {min(found)})}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, **one)
    assert (cores(), done.stdout) == (len(found), "1\n")
