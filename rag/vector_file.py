"""The vectors of a database while it is written: rows appended, then a header."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stemma.retrieval.dense import HEADER, header

Rows = NDArray[np.float16]


class VectorFile:
    """A file of float16 rows; the caller knows how many of them count."""

    def __init__(self, path: Path, dimensions: int) -> None:
        self.dimensions = dimensions
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)

    def read(self, row: int) -> Rows:
        """One row, [dimensions]. Raises OSError where the file ends before it."""
        data = os.pread(self._file, self.dimensions * 2, self._offset(row))
        if len(data) < self.dimensions * 2:
            raise OSError(f"vectors end before row {row}")
        return np.frombuffer(data, dtype=np.float16)

    def write(self, row: int, vectors: Rows) -> None:
        """Write rows from `row` on, and wait until they are on disk."""
        left = memoryview(np.ascontiguousarray(vectors, dtype="<f2").data).cast("B")
        offset = self._offset(row)
        while len(left):
            count = os.pwrite(self._file, left, offset)
            left = left[count:]
            offset += count
        os.fsync(self._file)

    def finish(self, rows: int, stamp: str) -> None:
        """Cut the file to its rows and write the header."""
        os.ftruncate(self._file, self._offset(rows))
        os.pwrite(self._file, header(rows, self.dimensions, stamp), 0)
        os.fsync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _offset(self, row: int) -> int:
        return HEADER + row * self.dimensions * 2
