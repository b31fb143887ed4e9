"""Child processes: one environment for all, and none outlives the Stemma that started it.

Whatever engine Stemma starts (Axolotl, an evaluation's worker, the GGUF converter, a probe) runs
offline, with its telemetry off, and with threads that soon sleep. This module imports no engine,
because the command line imports it at once.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stemma import ROOT
from stemma.errors import StageFailed

PR_SET_PDEATHSIG = 1
LAST_LINES = 15
LOOK_SECONDS = 0.25
"""Between two looks at what a child does."""

Look = Callable[[], None]


def _nothing() -> None:
    """Look at nothing."""


TELEMETRY_OFF = {
    "AXOLOTL_DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
OFFLINE = {"HF_HUB_OFFLINE": "1"}
"""For children only: fetching a base model is the work of the main process."""

WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says how OpenMP's threads wait for one another."""


def thread_waiting(variables: Mapping[str, str]) -> dict[str, str]:
    """The variable that makes OpenMP's threads sleep soon while they wait.

    Nothing where the user chose.

    They spin while they wait (libgomp, which torch and llama.cpp link, 300,000 times). Beside other
    work a thread then burns the time that the one it waits for needs: on two cores beside four
    processes a training step took 9 to 35 times as long as with threads that soon sleep. Threads
    that sleep at once (`OMP_WAIT_POLICY=PASSIVE`) cost an idle machine 41 % of a step and a
    multiple of a small model's token; 1,000 rounds cost 4 to 7 % and nothing (`bench/busy.py`).
    """
    if any(name in variables for name in WAITING):
        return {}
    return {"GOMP_SPINCOUNT": "1000"}


def cores() -> int:
    """The number of cores this process may use.

    Where the system does not say (macOS), all there are.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def child_environment(import_path: Path = ROOT) -> dict[str, str]:
    """The variables of every child that runs an engine.

    `import_path` is the folder in which it finds the modules it imports.
    """
    return {
        **os.environ,
        **thread_waiting(os.environ),
        **TELEMETRY_OFF,
        **OFFLINE,
        "PYTHONPATH": str(import_path),
    }


def run_program(
    command: Sequence[str],
    variables: Mapping[str, str],
    folder: Path | None = None,
    timeout_seconds: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with its output captured. Raises subprocess.TimeoutExpired."""
    return subprocess.run(
        command,
        cwd=folder,
        env=dict(variables),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=timeout_seconds,
        preexec_fn=die_with_parent,
    )


def run_python(
    arguments: Sequence[str], import_path: Path, doing: str, look: Look | None = None
) -> None:
    """Run `python <arguments>`; `doing` says what it is for, `look` is called while it runs.

    Raises StageFailed with the last lines of its stderr.
    """
    command, variables = [sys.executable, *arguments], child_environment(import_path)
    if look is None:
        done = run_program(command, variables, ROOT)
    else:
        done = run_watched(command, variables, look)
    if done.returncode != 0:
        raise StageFailed(
            f"{doing} failed (exit code {done.returncode}):\n{last_lines(done.stderr)}"
        )


def run_watched(
    command: Sequence[str], variables: Mapping[str, str], look: Look
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end with its output captured; `look` is called while it runs."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        preexec_fn=die_with_parent,  # noqa: PLW1509  # as subprocess.run does above
    ) as process:
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=LOOK_SECONDS)
                    break
                except subprocess.TimeoutExpired:  # nothing that it wrote is lost
                    look()
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def run_logged(
    command: Sequence[str], variables: Mapping[str, str], log: Path, look: Look = _nothing
) -> int:
    """Run a program with everything it says in `log`; returns its exit code. `look` is called
    while it runs."""
    with (
        log.open("w", encoding="utf-8") as stream,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(variables),
            stdout=stream,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,  # noqa: PLW1509
        ) as process,
    ):
        try:
            return wait(process, look)
        except BaseException:
            process.kill()
            raise


def wait(process: subprocess.Popen[Any], look: Look) -> int:
    """Wait for a process; `look` is called while it runs. Returns its exit code."""
    while True:
        try:
            return process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            look()


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """The end of a log, for an error message."""
    return "\n".join(text.strip().splitlines()[-count:])


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies (`preexec_fn`).

    A child that a killed Stemma left behind would write into the folder that the next run uses.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_stemma() -> None:
    """Do the same from inside a trainer, whose Stemma may have been killed while it started."""
    die_with_parent()
    stemma = os.environ.get("STEMMA_PID")  # absent when Axolotl is run by hand
    if stemma and not Path(f"/proc/{stemma}").exists():
        raise SystemExit("Stemma was killed while this process was starting")


def end_survivors() -> None:
    """End the processes of a training that outlived its launcher, and wait until they are gone.

    Ranks run in sessions of their own; they are known by the variable STEMMA_PID that their
    launcher handed on.
    """
    mark = f"STEMMA_PID={os.getpid()}".encode()
    processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    survivors = [path for path in processes if mark in _variables(path)]
    for process in survivors:
        with suppress(ProcessLookupError):
            os.kill(int(process.name), signal.SIGKILL)
    while any(mark in _variables(process) for process in survivors):
        time.sleep(0.02)


def _variables(process: Path) -> list[bytes]:
    """A process's environment; nothing of one that is gone or another user's."""
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
