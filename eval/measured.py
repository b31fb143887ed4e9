"""Findings of the measuring, kept sample by sample: `runs/measured/<task>-<key>/*.jsonl`.

A folder holds the samples of one cell: `cell.json` says of what, and is there for people. Each
process that measures appends to a file of its own, so several processes and machines may share the
folder, on a network drive too, without a lock. Reading merges all files by the content of the rows.
A line that a killed process left half-written does not count: its row is measured again. Nor does
one that was changed: each carries a digest of itself and of the cell it is of.

A sample of the same row may stand in several files, where two processes measured the same at the
same time; the file of the first name counts. Only finished samples are ever written, never an
error.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from eval.unchanged import Stamps, refuse_changed
from stemma.errors import StageFailed

DESCRIPTION = "cell.json"
RENEWED = ".new"
"""Behind the name of a cell's folder while all of it is measured anew."""
DIGITS = 32
"""Hexadecimal digits of a line's digest."""
MARK, END = b', "sha256": "', b'"}\n'
"""What stands around it, at the line's end."""

Kept = dict[str, dict[str, Any]]
"""Samples by the digest of their row."""


def read_kept(folder: Path, fields: Collection[str]) -> Kept:
    """All whole samples in the folder that have exactly these fields."""
    kept: Kept = {}
    wanted = set(fields)
    for path in sorted(folder.glob("*.jsonl")):
        for line in _lines(path):
            if line and line[0] not in kept and line[1].keys() == wanted:
                kept[line[0]] = line[1]
    return kept


def count_altered(folder: Path) -> int:
    """Lines in the folder that are not as they were written, and so do not count."""
    return sum(line is None for path in folder.glob("*.jsonl") for line in _lines(path))


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]] | None]:
    """(digest of the row, sample) of each line that was written to its end; None of one that is
    not as it was written."""
    with path.open("rb") as stream:
        for line in stream:
            # A torn line: its writer was killed, or is writing it just now.
            if line.endswith(b"\n"):
                yield _read(path.parent, line)


def _read(folder: Path, line: bytes) -> tuple[str, dict[str, Any]] | None:
    content, mark, digest = line.rpartition(MARK)
    if not mark or digest != _digest(folder, content) + END:
        return None
    value = json.loads(content + b"}")
    return str(value["row"]), value["sample"]


def _digest(folder: Path, content: bytes) -> bytes:
    """A line's own: of what it says, and of the cell, so that no other cell's line is taken."""
    cell = folder.name.removesuffix(RENEWED).encode()
    return hashlib.sha256(cell + b"\n" + content).hexdigest()[:DIGITS].encode()


class Keeper:
    """A file of one process, to which it appends what it measures."""

    def __init__(self, folder: Path, stamps: Stamps) -> None:
        self._folder = folder
        self._stamps = stamps
        self._stream: IO[bytes] | None = None

    def keep(self, row: str, sample: dict[str, Any]) -> None:
        """Append one sample: with this call it outlives its process.

        Raises StageFailed for a sample with a number that is none (errors are never kept), and
        where what is measured was changed meanwhile.
        """
        refuse_changed(self._stamps)
        try:
            text = json.dumps({"row": row, "sample": sample}, ensure_ascii=False, allow_nan=False)
        except ValueError:
            found = "figures that are not finite; the weights are damaged"
            raise StageFailed(f"row {sample['id']}: {found}") from None
        if self._stream is None:
            self._stream = _new_file(self._folder)
        content = text.encode().removesuffix(b"}")
        self._stream.write(content + MARK + _digest(self._folder, content) + END)
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


@contextmanager
def keeping(folder: Path, stamps: Stamps | None = None) -> Iterator[Keeper]:
    """A keeper of a cell's folder, closed at the end. `stamps`: of what is measured."""
    keeper = Keeper(folder, stamps or {})
    try:
        yield keeper
    finally:
        keeper.close()


def _new_file(folder: Path) -> IO[bytes]:
    """A file that no other process writes: creating it fails where the name is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        name = f"{platform.node()}-{os.getpid()}-{number}.jsonl"
        try:
            return (folder / name).open("xb")
        except FileExistsError:  # of another machine with this name, or an earlier process
            continue
    raise AssertionError("count() never ends")


def describe(folder: Path, decisive: dict[str, Any]) -> None:
    """Write down, for people, what the samples in the folder are of."""
    folder.mkdir(parents=True, exist_ok=True)
    # Whoever comes first writes it: all would write the same.
    with suppress(FileExistsError), (folder / DESCRIPTION).open("x", encoding="utf-8") as stream:
        json.dump(decisive, stream, indent=2, ensure_ascii=False)
