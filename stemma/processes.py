"""What Stemma and the trainer it starts agree on: two files' names, and that a trainer dies with its Stemma.

Apart from the launcher and the plugin, because the one must not import torch and the other runs inside Axolotl.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

COMPLETED = "completed.json"
FAILURE = "failure.json"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """A killed Stemma must not leave a trainer behind that writes into the folder the next run uses."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_survivors() -> None:
    """End every process that this one started a training with and that outlived its launcher, and wait until it is
    gone. They are known by the variable their launcher handed on."""
    mark = f"STEMMA_PID={os.getpid()}".encode()
    found = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and mark in _variables(path)]
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    while any(mark in _variables(Path("/proc") / str(process)) for process in found):
        time.sleep(0.02)


def _variables(process: Path) -> list[bytes]:
    """A process's environment; nothing of one that is gone or another user's."""
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def die_with_stemma() -> None:
    """The same from inside the trainer, whose Stemma may have been killed while it started."""
    die_with_parent()
    stemma = os.environ.get("STEMMA_PID")  # absent when Axolotl is run by hand
    if stemma and not Path(f"/proc/{stemma}").exists():
        raise SystemExit("Stemma was killed while this process was starting")
