"""A meter of what a piece of work takes of the machine: seconds, memory and disk.

Memory is that of the whole process tree at its fullest: the sum of each process's proportional
share (Pss), so that a page two of them map is counted once, not twice.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
INTERVAL_SECONDS = 0.5
KIB = 1024
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Usage:
    """The seconds and bytes taken so far."""

    seconds: float = 0.0
    memory: int = 0
    """Bytes of all processes together at the fullest moment, mapped files included."""
    process: int = 0
    """Bytes of the fullest process alone."""
    disk: int = 0
    """Bytes of the watched folder at the fullest moment."""


@contextmanager
def measuring(folder: Path) -> Iterator[Usage]:
    """Samples this process, all that descend from it, and the size of `folder`, twice a second."""
    usage = Usage()
    stop = threading.Event()
    start = time.monotonic()
    watch = threading.Thread(target=_watch, args=(folder, usage, stop), daemon=True)
    watch.start()
    try:
        yield usage
    finally:
        stop.set()
        watch.join()
        _sample(folder, usage)
        usage.seconds = time.monotonic() - start


def _watch(folder: Path, usage: Usage, stop: threading.Event) -> None:
    while not stop.wait(INTERVAL_SECONDS):
        _sample(folder, usage)


def _sample(folder: Path, usage: Usage) -> None:
    resident = {process: resident_bytes(process) for process in tree(os.getpid())}
    usage.process = max(usage.process, *resident.values())
    # Shares cost the kernel a walk over all pages: they are asked for only where they can be a new
    # peak.
    if sum(resident.values()) > usage.memory:
        usage.memory = max(usage.memory, sum(map(proportional_bytes, resident)))
    usage.disk = max(usage.disk, folder_bytes(folder))


def tree(root: int) -> list[int]:
    """The process and all its descendants."""
    processes = [path for path in PROC.iterdir() if path.name.isdigit()]
    parents = {int(path.name): parent for path in processes if (parent := _parent(path))}
    found = [root]
    for process in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == process]
    return found


def _parent(process: Path) -> int:
    """The parent's number; 0 of a process that is gone."""
    try:
        stat = (process / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    # The name in brackets, in front of it, may hold blanks and brackets itself.
    return int(stat.rpartition(")")[2].split()[1])


def resident_bytes(process: int) -> int:
    """Resident memory, shared pages in full; 0 of a process that is gone."""
    try:
        pages = (PROC / str(process) / "statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * PAGE


def proportional_bytes(process: int) -> int:
    """Resident memory, of a shared page this process's share.

    0 of a process that is gone or another user's.
    """
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return 0
    shares = (int(line.split()[1]) * KIB for line in lines if line.startswith("Pss:"))
    return next(shares, 0)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files under it; one that goes meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                # Not by pathlib: this runs over all files, twice a second.
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total


def free_memory() -> int:
    """Bytes of memory that can be had without swapping."""
    lines = (PROC / "meminfo").read_text(encoding="ascii").splitlines()
    available = (line for line in lines if line.startswith("MemAvailable:"))
    return int(next(available).split()[1]) * KIB
