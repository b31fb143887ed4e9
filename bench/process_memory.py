"""Peak memory of a job in a fresh process, and of all processes it starts.

The job is one of `memory_work.py`. Memory is resident memory, sampled every 20 ms.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.errors import StageFailed

ROUNDS = 3
"""Processes of which the one that held least counts."""


@dataclass(frozen=True)
class Peak:
    """Bytes that a process held when its work began, and at most.

    `together` is what all its processes held at once.
    """

    before: int
    peak: int
    together: int


def measure(checkout: Path, **job: Any) -> Peak:
    """Run the job in a fresh process with the code of `checkout`.

    Raises StageFailed with the end of its output.
    """
    path = {"PYTHONPATH": str(checkout), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "2"}
    script = Path(__file__).with_name("memory_work.py")
    command = [sys.executable, str(script), json.dumps(job, default=str)]
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            command, cwd=checkout, env=os.environ | path, stdout=output, stderr=output, text=True
        )
        together = 0
        while child.poll() is None:
            together = max(together, sum(map(resident, family(child.pid))))
            time.sleep(0.02)
        output.seek(0)
        lines = output.read().splitlines()
    if child.returncode:
        raise StageFailed(f"{job['work']}: exit code {child.returncode}\n" + "\n".join(lines[-15:]))
    found = next(json.loads(line) for line in reversed(lines) if line.startswith('{"before"'))
    peak = Peak(**found, together=max(together, found["peak"]))
    print(f"{checkout.name} {job['work']} {job.get('count', '')}: {peak}", file=sys.stderr)
    return peak


def least(checkout: Path, **job: Any) -> Peak:
    """Of ROUNDS processes the one that held least."""
    return min((measure(checkout, **job) for _ in range(ROUNDS)), key=lambda peak: peak.peak)


def family(pid: int) -> list[int]:
    """A process and all that come from it."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        children = [
            int(one) for thread in threads for one in (thread / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(one for child in children for one in family(child))]


def resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0
