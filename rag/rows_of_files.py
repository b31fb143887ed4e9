"""About how many rows files hold, by the bytes of the first ones: what `plan` states."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from rag.packed import LONGEST_LINE, open_packed

LONGEST_CELL = 1 << 26
RATIO_BYTES = 2**24
"""Unpacked to learn how tightly a file is packed."""


def rows_in(paths: list[Path], read: int) -> float:
    """About the rows of files of one form, where the first `read` of them are looked at."""
    if paths and paths[0].suffix == ".parquet":
        from pyarrow import ArrowException, parquet

        # A damaged file is told when it is read.
        with suppress(ArrowException, OSError):
            return float(sum(parquet.read_metadata(path).num_rows for path in paths))
        return float(read)
    # A header is read as one row more.
    return max(1, read) * sum(map(_unpacked_bytes, paths)) / _bytes_of_rows(paths, read + 1)


def _unpacked_bytes(path: Path) -> float:
    """About the bytes of a file's content."""
    size = path.stat().st_size
    if path.suffix not in (".gz", ".bz2"):
        return size
    with path.open("rb") as raw, _unpacking(path, raw) as unpacked:
        count = 0
        # A damaged file is told when it is read.
        with suppress(OSError, EOFError):
            while count < RATIO_BYTES and (piece := unpacked.read(2**20)):
                count += len(piece)
        return size * count / max(1, raw.tell())


def _unpacking(path: Path, raw: BinaryIO) -> Any:
    import bz2
    import gzip

    return gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else bz2.BZ2File(raw)


def _bytes_of_rows(paths: list[Path], rows: int) -> int:
    """Bytes of the first rows of several files; a header is one of them."""
    read = _Lines()
    for path in paths:
        form = Path(path.stem).suffix if path.suffix in (".gz", ".bz2") else path.suffix
        with open_packed(path) as stream:
            # A JSON array, which may be one line, is taken by its objects' ends.
            lines: Iterator[Any] = read.of(_objects(stream) if form == ".json" else _lines(stream))
            if form in (".csv", ".tsv"):
                csv.field_size_limit(LONGEST_CELL)
                text = (line.decode("utf-8", "replace") for line in read.of(_lines(stream)))
                lines = csv.reader(text, delimiter="\t" if form == ".tsv" else ",")
            # What cannot be read is told when it is read.
            with suppress(csv.Error, OSError, EOFError):
                rows -= sum(1 for _ in islice(lines, rows))
        if rows <= 0:
            break
    return max(1, read.bytes)


class _Lines:
    """Lines whose bytes are counted."""

    def __init__(self) -> None:
        self.bytes = 0

    def of(self, stream: Iterable[bytes]) -> Iterator[bytes]:
        for line in stream:
            self.bytes += len(line)
            yield line


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Lines, an endless one in pieces: it is told when it is read."""
    return iter(lambda: stream.readline(LONGEST_LINE), b"")


def _objects(stream: BinaryIO) -> Iterator[bytes]:
    """A file cut behind each `}`: about its objects, where none is within another."""
    rest = b""
    while piece := stream.read(2**16):
        *whole, rest = (rest + piece).split(b"}")
        yield from (one + b"}" for one in whole)
