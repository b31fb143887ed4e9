"""Digests of large files, remembered: gigabytes are hashed once.

What was found is kept beside the run folders, in a file that may be deleted, by each file's path,
size, inode and times of change. A file that changed moments before it was read is not remembered:
another change within the clock's same tick would leave no trace.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stemma.jsonl import write_json
from stemma.runs import digest_of

KEPT = "digests.json"
"""The file of known digests, beside the run folders."""
REMEMBERED_BYTES = 2**20
"""Of a file that is remembered, at least: a smaller one is hashed as fast as it is looked up."""
SETTLED_NS = 3_000_000_000
"""Nanoseconds since a file's last change after which it is remembered; FAT counts in twos of
seconds."""

Stamp = tuple[int, int, int, int]
"""Bytes, inode, and nanoseconds of the last change of content and of the file's entry."""
Known = dict[str, tuple[Stamp, str]]
"""Stamp and sha256 by a file's path."""


def digests_of(paths: Iterable[Path], runs: Path) -> dict[Path, str]:
    """The sha256 of each file. `runs` is where the run folders lie."""
    known: Known | None = None
    fresh: Known = {}
    found: dict[Path, str] = {}
    for path in paths:
        stamp = _stamp(path)
        if stamp[0] < REMEMBERED_BYTES:
            found[path] = digest_of(path)
            continue
        known = _read(runs / KEPT) if known is None else known
        name = str(path.parent.resolve() / path.name)
        seen = known.get(name)
        if seen and seen[0] == stamp:
            found[path] = seen[1]
            continue
        is_settled = time.time_ns() - max(stamp[2:]) > SETTLED_NS
        found[path] = digest_of(path)
        if is_settled and _stamp(path) == stamp:
            fresh[name] = (stamp, found[path])
    if fresh and runs.is_dir():
        # Runs may be read-only: then it is hashed again the next time.
        with suppress(OSError):
            write_json(runs / KEPT, _read(runs / KEPT) | fresh)
    return found


def _stamp(path: Path) -> Stamp:
    stat = path.stat()  # of a link: its target
    return stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def _read(path: Path) -> Known:
    try:
        return TypeAdapter(Known).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
