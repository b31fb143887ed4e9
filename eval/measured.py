"""Findings of the measuring, kept sample by sample: `runs/measured/<task>-<key>/*.jsonl`.

A folder holds the samples of one cell: `cell.json` says of what, and is there for people. Each
process that measures appends to a file of its own, so several processes and machines may share the
folder, on a network drive too, without a lock. Reading merges all files by the content of the rows.
A line that a killed process left half-written does not count: its row is measured again.

A sample of the same row may stand in several files, where two processes measured the same at the
same time; the file of the first name counts. Only finished samples are ever written, never an
error.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from stemma.errors import StageFailed

DESCRIPTION = "cell.json"

Kept = dict[str, dict[str, Any]]
"""Samples by the digest of their row."""


def read_kept(folder: Path, fields: Collection[str]) -> Kept:
    """All whole samples in the folder that have exactly these fields."""
    kept: Kept = {}
    wanted = set(fields)
    for path in sorted(folder.glob("*.jsonl")):
        for row, sample in _whole_lines(path):
            if row not in kept and sample.keys() == wanted:
                kept[row] = sample
    return kept


def _whole_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(digest of the row, sample) of each line that was written to its end."""
    with path.open("rb") as stream:
        for line in stream:
            # A torn line: its writer was killed, or is writing it just now.
            if not line.endswith(b"\n"):
                continue
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if not isinstance(value, dict) or value.keys() != {"row", "sample"}:
                continue
            if isinstance(value["sample"], dict):
                yield str(value["row"]), value["sample"]


class Keeper:
    """A file of one process, to which it appends what it measures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stream: IO[bytes] | None = None

    def keep(self, row: str, sample: dict[str, Any]) -> None:
        """Append one sample: with this call it outlives its process.

        Raises StageFailed for a sample with a number that is none: errors are never kept.
        """
        try:
            text = json.dumps({"row": row, "sample": sample}, ensure_ascii=False, allow_nan=False)
        except ValueError:
            found = "figures that are not finite; the weights are damaged"
            raise StageFailed(f"row {sample['id']}: {found}") from None
        if self._stream is None:
            self._stream = _new_file(self._folder)
        self._stream.write(text.encode() + b"\n")
        self._stream.flush()

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


@contextmanager
def keeping(folder: Path) -> Iterator[Keeper]:
    """A keeper of a cell's folder, closed at the end."""
    keeper = Keeper(folder)
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
