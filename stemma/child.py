"""What Stemma and the trainer it starts agree on: two files' names, and that a trainer dies with its Stemma.

Apart from the launcher and the plugin, because the one must not import torch and the other runs inside Axolotl.
"""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

COMPLETED = "completed.json"
FAILURE = "failure.json"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """A killed Stemma must not leave a trainer behind that writes into the folder the next run uses."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_stemma() -> None:
    """The same from inside the trainer, whose Stemma may have been killed while it started."""
    die_with_parent()
    stemma = os.environ.get("STEMMA_PID")  # absent when Axolotl is run by hand
    if stemma and not Path(f"/proc/{stemma}").exists():
        raise SystemExit("Stemma was killed while this process was starting")
