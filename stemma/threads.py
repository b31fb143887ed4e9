"""How many threads compute, and how they wait for one another: so that other work on the machine does not stop them.

OpenMP's threads spin while they wait (libgomp, which torch and llama.cpp link, 300,000 times). Beside other work a
thread then burns the time that the one it waits for needs: on two cores beside four processes a training step took 9
to 35 times as long as with threads that soon sleep. Threads that sleep at once (`OMP_WAIT_POLICY=PASSIVE`) cost an
idle machine 41 % of a step and a multiple of a small model's token; 1,000 rounds cost 4 to 7 % and nothing
(`python -m bench.busy`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping

CHOICES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Variables by which a user says how threads wait."""


def patient(variables: Mapping[str, str]) -> dict[str, str]:
    """What to add to a process's variables so that its threads soon sleep while they wait; nothing where the user
    chose."""
    return {} if any(name in variables for name in CHOICES) else {"GOMP_SPINCOUNT": "1000"}


def cores() -> int:
    """How many cores this process may use; where the system does not say (macOS), how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
