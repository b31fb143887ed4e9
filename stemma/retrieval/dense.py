"""Vectors of passages on disk, searched exactly: every one is compared.

Read in pieces into one buffer, not mapped: mapped pages count as the process's own memory, and a
file cut short would end it with a signal. float16 becomes float32 by moving bits, four times as
fast as numpy's own conversion.

Time of a search: linear in passages × dimensions. Memory: 4 bytes a passage for each query of a
pass (64 MiB in all), and small files whole as float32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemma.errors import Problem, UserError

HEADER = 128
"""Bytes before the vectors: the header of an .npy file, padded."""
PIECE_BYTES = 3 << 20
SCORE_BYTES = 64 << 20
"""Memory for the scores of the queries of one pass."""
KEPT_BYTES = 256 << 20
"""Files that fill less than this as float32 are read once and kept."""
UNSHIFTED = np.float32(2.0**112)
"""float16's exponents count from 15, float32's from 127."""
SIGN_AND_VALUE = np.int32(-0x70000001)  # 0x8fffffff

Vectors = NDArray[np.float32]


def header(rows: int, dimensions: int, stamp: str = "") -> bytes:
    """The first HEADER bytes of an .npy file of float16; the stamp is a comment to its readers."""
    shape = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({rows}, {dimensions}), }}"
    shape += f"  # {stamp}" if stamp else ""
    text = shape.ljust(HEADER - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + (HEADER - 10).to_bytes(2, "little") + text.encode("ascii")


def bytes_of(rows: int, dimensions: int) -> int:
    """The size of a file of vectors."""
    return HEADER + rows * dimensions * 2


class DenseVectors:
    """The vectors of a database, opened for searching.

    Raises UserError where the file is not what `rows`, `dimensions` and `stamp` promise.
    """

    def __init__(self, path: Path, rows: int, dimensions: int, stamp: str = "") -> None:
        self.path = path
        self.rows = rows
        self.dimensions = dimensions
        self._file = os.open(path, os.O_RDONLY)
        self._kept: Vectors | None = None
        found = os.pread(self._file, HEADER, 0)
        size = os.fstat(self._file).st_size
        if found != header(rows, dimensions, stamp) or size != bytes_of(rows, dimensions):
            self.close()
            found_text = f"damaged vectors, or those of another build: {size:,} bytes"
            expected = f"{rows:,} × {dimensions} of float16: {bytes_of(rows, dimensions):,} bytes"
            hint = "copy the database again, or build it anew"
            raise UserError(Problem(str(path), found_text, expected, hint))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def of(self, numbers: Sequence[int]) -> Vectors:
        """Vectors of passages, [numbers, dimensions]."""
        if self._kept is not None:
            return self._kept[list(numbers)]
        found = np.empty((len(numbers), self.dimensions), dtype=np.float16)
        for place, number in enumerate(numbers):
            offset = HEADER + number * self.dimensions * 2
            self._fill(found[place], offset)
        return found.astype(np.float32)

    def cosines(self, queries: Vectors) -> Iterator[NDArray[np.float32]]:
        """The cosine of each query, in turn, with every passage, [passages]."""
        at_once = max(1, SCORE_BYTES // (4 * max(self.rows, 1)))
        for begin in range(0, len(queries), at_once):
            scores = self._products(queries[begin : begin + at_once])
            # Infinite and undefined numbers become large ones, or fail every comparison.
            if scores.size and not -1.01 < scores.min() <= scores.max() < 1.01:
                raise self._damaged("vectors that are not of length 1")
            yield from scores

    def _damaged(self, found: str) -> UserError:
        hint = "copy the database again, or build it anew"
        return UserError(Problem(str(self.path), found, "whole vectors of length 1", hint))

    def _products(self, queries: Vectors) -> Vectors:
        if self.rows * self.dimensions * 4 <= KEPT_BYTES:
            if self._kept is None:
                pieces = [np.empty((0, self.dimensions), dtype=np.float32)]
                pieces += [piece * UNSHIFTED for _, piece in self._pieces()]
                self._kept = np.concatenate(pieces)
            return queries @ self._kept.T
        found = np.empty((len(queries), self.rows), dtype=np.float32)
        scaled = queries * UNSHIFTED
        for begin, piece in self._pieces():
            np.matmul(scaled, piece.T, out=found[:, begin : begin + len(piece)])
        return found

    def _pieces(self) -> Iterator[tuple[int, Vectors]]:
        """The vectors / UNSHIFTED, some rows at a time with the first one's number.

        A piece is overwritten by the next.
        """
        at_once = max(1, min(self.rows, PIECE_BYTES // (2 * self.dimensions)))
        halves = np.empty((at_once, self.dimensions), dtype=np.int16)
        wide = np.empty((at_once, self.dimensions), dtype=np.int32)
        for begin in range(0, self.rows, at_once):
            count = min(at_once, self.rows - begin)
            self._fill(halves[:count], HEADER + begin * self.dimensions * 2)
            bits = wide[:count]
            np.left_shift(halves[:count], 13, out=bits, dtype=np.int32)
            bits &= SIGN_AND_VALUE  # the sign stands in the four first bits now
            yield begin, bits.view(np.float32)

    def _fill(self, rows: NDArray[Any], offset: int) -> None:
        buffer = memoryview(rows.data).cast("B")
        while len(buffer):
            count = os.preadv(self._file, [buffer], offset)
            if not count:
                raise self._damaged("a file cut short")
            buffer = buffer[count:]
            offset += count
