"""Files and folders that appear whole or not at all: made under a temporary name, then renamed.

The temporary name begins with a dot and ends in `.part`, beside the final one, so that the rename
stays within one file system.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PART = ".part"


def part_of(path: Path) -> Path:
    """The temporary name of a file or folder that one process at a time makes."""
    return path.with_name(f".{path.name}{PART}")


@contextmanager
def atomic(path: Path) -> Iterator[IO[str]]:
    """Open `path` for writing; it is there when the block has ended well, and on disk.

    Several processes may write the same path, each under a temporary name of its own.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PART}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with atomic(path) as stream:
        stream.write(text)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the place of `path` when the block has ended well."""
    part = part_of(path)
    remove(part)
    part.mkdir(parents=True)
    yield part
    remove(path)
    part.rename(path)


def publish(path: Path, make: Callable[[Path], None]) -> Path:
    """Make a file or folder unless an earlier attempt at the same work has finished it.

    `make` is given the temporary name to write to.
    """
    if not path.exists():
        part = part_of(path)
        remove(part)
        make(part)
        part.replace(path)
    return path


def remove_parts(folder: Path) -> None:
    """Remove what a killed attempt left half-made in `folder`."""
    for part in folder.glob(f".*{PART}"):
        remove(part)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
