"""Digests of large files, remembered: gigabytes are hashed once.

What was found is kept beside the run folders, in a file that may be deleted, by each file's path,
size, inode and times of change. A file that changed moments before it was read is not remembered:
another change within the clock's same tick would leave no trace. Files that are gone are forgotten.

It carries a digest of itself: damaged or edited, it is worth nothing, and all is hashed again. What
left no trace on a file's times (a rotten disk) is found by `stemma verify`, which reads every file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stemma.digests import digest_json, digest_of, digest_of_tree, files_under
from stemma.errors import UserError
from stemma.jsonl import read_json, write_json

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


def digests_of(paths: Iterable[Path], runs: Path, anew: bool = False) -> dict[Path, str]:
    """The sha256 of each file. `runs` is where the run folders lie.

    `anew`: every file is read, whatever is remembered, and that is put right.
    """
    known: Known | None = None
    fresh: Known = {}
    found: dict[Path, str] = {}
    for path in paths:
        stamp = stamp_of(path)
        if stamp[0] < REMEMBERED_BYTES:
            found[path] = digest_of(path)
            continue
        known = _read(runs / KEPT) if known is None else known
        name = _name(path)
        seen = known.get(name)
        if seen and seen[0] == stamp and not anew:
            found[path] = seen[1]
            continue
        is_settled = time.time_ns() - max(stamp[2:]) > SETTLED_NS
        found[path] = digest_of(path)
        if is_settled and stamp_of(path) == stamp:
            fresh[name] = (stamp, found[path])
    if fresh and runs.is_dir():
        # Runs may be read-only: then it is hashed again the next time.
        with suppress(OSError):
            _write(runs / KEPT, fresh)
    return found


def bytes_to_read(paths: Iterable[Path], runs: Path) -> int:
    """The bytes that `digests_of` would read, of what is not remembered."""
    known = _read(runs / KEPT)
    stamps = {_name(path): stamp_of(path) for path in paths}
    return sum(
        stamp[0] for name, stamp in stamps.items() if name not in known or known[name][0] != stamp
    )


def differing(wanted: Mapping[Path, str], runs: Path, anew: bool = False) -> list[Path]:
    """Files and folders whose sha256 is not the wanted one."""
    files = {path: files_under(path) for path in wanted}
    known = digests_of([file for under in files.values() for file in under], runs, anew)
    now = {
        path: known[path] if path in known else digest_of_tree(path, known.__getitem__)
        for path in wanted
    }
    return [path for path, sha256 in wanted.items() if now[path] != sha256]


def _name(path: Path) -> str:
    """A path as the file of known digests holds it, in UTF-8: one of other bytes is not found
    again, and read each time."""
    return os.fsencode(path.parent.resolve() / path.name).decode("utf-8", "backslashreplace")


def stamp_of(path: Path) -> Stamp:
    """What tells that a file was changed, without reading it."""
    stat = path.stat()  # of a link: its target
    return stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def _read(path: Path) -> Known:
    try:
        kept = read_json(path)
        if kept["digest"] != digest_json(kept["files"]):
            return {}
        return TypeAdapter(Known).validate_python(kept["files"])
    except (OSError, UserError, ValidationError, TypeError, KeyError):
        return {}


def _write(path: Path, fresh: Known) -> None:
    """Add what was found to what is remembered; of two who write at once, one is forgotten."""
    known = {name: of for name, of in _read(path).items() if Path(name).exists()}
    files = known | fresh
    write_json(path, {"digest": digest_json(files), "files": files})
