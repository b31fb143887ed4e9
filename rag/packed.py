"""Files that may be packed with gzip or bzip2, read as a stream."""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, AnyStr, BinaryIO, cast

from stemma.errors import Problem, UserError
from stemma.plain_files import plain_file

LONGEST_LINE = 1 << 27
"""Bytes or characters of a line behind which the file is not what its name says."""


def open_packed(path: Path) -> BinaryIO:
    """The file's content, unpacked where its name ends so. Raises UserError where there is none."""
    plain_file(path, "a file", "paths of sources start at data.root (DATA=…)")
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return cast(BinaryIO, bz2.open(path, "rb") if path.suffix == ".bz2" else path.open("rb"))


def lines_of(stream: IO[AnyStr], path: Path) -> Iterator[AnyStr]:
    """The lines of a file. Raises UserError for one that fills the memory: a few kilobytes of gzip
    can be gigabytes without a line's end."""
    while line := stream.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            found = f"a line of more than {LONGEST_LINE // 2**20} MiB"
            raise UserError(Problem(str(path), found, "a row a line"))
        yield line


@contextmanager
def packed_errors(path: Path) -> Iterator[None]:
    """Turn what an unpacker says of a damaged or cut file into a UserError."""
    try:
        yield
    except (EOFError, zlib.error, OSError) as error:  # bz2 has no error of its own
        found = f"damaged or cut off: {error}"
        raise UserError(Problem(str(path), found, "a whole file", "fetch it again")) from None
