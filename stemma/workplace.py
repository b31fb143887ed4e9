"""A folder that one process at a time works in: made, locked, emptied, or told as unwritable.

Stages, sweeps, rehearsals and imports all work in such a folder.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemma.errors import Problem, UserError
from stemma.files import remove

LOCK = ".lock"
PAID = "ledger.sqlite"
"""The ledger of paid replies, beside the run folders: other runs would pay again."""

UNWRITABLE = (
    *(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)),
    "file write failed",
    "database or disk is full",
    "attempt to write a readonly database",
)
"""Words of errors that mean a full or read-only disk.

Not only by OSError: safetensors, torch and SQLite raise errors of their own, and of a child process
only the end of its log arrives.
"""


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Make the folder, and turn whatever cannot be written there into one clear UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error, str(error.strerror)) from None
    try:
        yield
    except Exception as error:
        reason = why_unwritable(error)
        if reason is None:
            raise
        raise _cannot_write(folder, error, reason) from None


def why_unwritable(error: Exception) -> str | None:
    """The refusal of the file system, by whichever error it is told; None for any other error."""
    if isinstance(error, UserError):
        return None
    return next((text for text in UNWRITABLE if text in str(error)), None)


def _cannot_write(folder: Path, error: Exception, reason: str) -> UserError:
    named = error.filename if isinstance(error, OSError) else None
    expected = "a writable folder with free space"
    hint = "free some space, or pass --runs FOLDER"
    if any((parent / PAID).exists() for parent in [folder, *folder.parents][:4]):
        hint = (
            f"free some space, and leave the runs where they are: {PAID} beside them holds what "
            "was paid for"
        )
    return UserError(Problem(str(named or folder), f"cannot write: {reason}", expected, hint))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep every other process out of the folder. Raises UserError when one is working there."""
    with (folder / LOCK).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = "another process is working here"
            raise UserError(Problem(str(folder), found, hint="wait for it, or end it")) from None
        yield


def empty(folder: Path) -> None:
    """Remove all but the lock."""
    for entry in folder.iterdir():
        if entry.name != LOCK:
            remove(entry)
