"""Progress of a child process, told through a small file: what it prints stays its log.

The child writes the file, at most a few times a second; its parent looks at it while it waits, and
shows it. Nothing of it ever stops the work: a file that cannot be written or read is no progress.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from stemma import progress
from stemma.digests import size_of
from stemma.files import part_of
from stemma.progress import At

FILE = "progress.json"
APART_SECONDS = 0.2
"""Between two writings of the same thing done."""


class Telling:
    """The child's side. Without a path it tells nobody: one process of several speaks."""

    def __init__(self, path: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._at = At("")
        self._told = float("-inf")

    def tell(self, at: At) -> None:
        """Say how far the work is."""
        now = self._clock()
        is_same = at.doing == self._at.doing
        self._at = at
        if self._path is None or (
            is_same and now - self._told < APART_SECONDS and at.done != at.total
        ):
            return
        self._told = now
        part = part_of(self._path)
        with suppress(OSError):
            part.write_text(json.dumps(asdict(at)), encoding="utf-8")
            part.replace(self._path)


class Growing:
    """A file or folder that a child fills, of which its parent shows how much there is."""

    def __init__(self, path: Path, doing: str, total_bytes: int) -> None:
        self._path = path
        self._doing = doing
        self._total = total_bytes

    def look(self) -> None:
        """Show how much is written; what is expected is about right."""
        with suppress(OSError):
            size = min(size_of(self._path), self._total)
            progress.show(self._doing, size, self._total, progress.BYTES)


class Hearing:
    """The parent's side: shows what the child tells, or what `told` makes of it."""

    def __init__(self, path: Path, told: Callable[[At], At] = lambda at: at) -> None:
        self._path = path
        self._told = told
        self._read: tuple[int, int] | None = None
        self.forget()

    def forget(self) -> None:
        """Remove what a child has told: an earlier one's is no news."""
        for path in (self._path, part_of(self._path)):
            with suppress(OSError):
                path.unlink()

    def look(self) -> None:
        """Show what there is to tell."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
            if stamp != self._read:
                at = At(**json.loads(self._path.read_text(encoding="utf-8")))
                self._read = stamp
                at = self._told(at)
                progress.show(at.doing, at.done, at.total, at.unit, at.note)
                return
        except (OSError, ValueError, TypeError):
            pass
        progress.tick()
