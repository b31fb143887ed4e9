"""Standard streams that never stop the work: closed, full, cut off, or of few letters.

`stemma all > /dev/full`, `stemma show | head -1` and a terminal that was closed behind a training
leave streams on which writing fails. What cannot be told is dropped, the work goes on, and the
command line says at its end whether the result reached its reader.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import Any, TextIO

GONE = (errno.EPIPE, errno.ECONNRESET)
"""The reader has read what it wanted: no failure."""


class Output(io.RawIOBase):
    """A file descriptor that takes all that is written, and notes what it could not pass on."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.lost: OSError | None = None
        """Why nothing more is passed on."""

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        while self.lost is None:
            try:
                return os.write(self._number, view)
            except BlockingIOError:  # a pipe that another program has set so
                select.select([], [self._number], [])
            except OSError as error:
                self.lost = error
        return len(view)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)


def secure() -> None:
    """Make the process's standard streams such as never fail, with `?` for letters they lack.

    Streams that somebody else has put in their place, as a test does, only get the letters.
    """
    _open_closed()
    if sys.stdout is sys.__stdout__:
        sys.stdout = _secured(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _secured(sys.stderr, 2)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115  # for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def lost(say: Callable[[str], None]) -> int:
    """The exit code 1 where the result did not reach its reader, and why; 0 where it did, and where
    nobody listens."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(raw, Output):
        return 0
    sys.stdout.flush()
    if raw.lost is None or raw.lost.errno in GONE:
        return 0
    say(f"failed: stdout cannot be written: {raw.lost.strerror}; what was to stand there is lost")
    return 1


def _open_closed() -> None:
    """Give closed descriptors to the null device: else the next file that is opened is one of them,
    and what an engine writes to its stderr stands in that file."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it takes the lowest that is free


def _secured(stream: TextIO | None, number: int) -> TextIO:
    if stream is None:  # it was closed from the beginning
        return io.TextIOWrapper(io.BufferedWriter(Output(os.open(os.devnull, os.O_WRONLY))))
    if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != number:
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(Output(number)),
        encoding=stream.encoding,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
