"""Files below a folder that a recipe names: links followed, each folder read once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from stemma.errors import Problem, UserError

LONGEST_NAME = 255
"""Bytes of a name within a path, as file systems have it."""


LONGEST_PATH = 4000
"""Bytes of a whole path; Linux takes 4,095, with the recipe's folder before it."""


def possible_path(path: str) -> str:
    """The path itself, of what is to be read whole. Raises ValueError for one that no file can
    have, and for the whole disk."""
    if not path.strip("/*.") and path.startswith("/"):
        raise ValueError(f"`{path}` is the whole disk: name a folder")
    return possible_name(path)


def possible_name(path: str) -> str:
    """The path itself. Raises ValueError for one that no file can have."""
    if not path.strip():
        raise ValueError("no path: give a file, a folder or a pattern")
    if "\0" in path:
        raise ValueError("a path cannot hold NUL")
    if len(path.encode("utf-8", "surrogateescape")) > LONGEST_PATH:
        raise ValueError(f"a path longer than {LONGEST_PATH:,} bytes")
    if any(len(part.encode("utf-8", "surrogateescape")) > LONGEST_NAME for part in path.split("/")):
        raise ValueError(f"a name in this path is longer than {LONGEST_NAME} bytes")
    return path


PathText = Annotated[str, AfterValidator(possible_name)]
"""A path in a recipe, or what may be one."""


def is_possible(path: str) -> bool:
    """Whether a file can have this path."""
    try:
        return bool(possible_name(path))
    except ValueError:
        return False


@dataclass
class Below:
    """What lies below a folder, hidden names left out; by their names."""

    files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    """What cannot be read: links that lead nowhere or to a folder above, pipes, sockets."""


def below(folder: Path) -> Below:
    """Everything below a folder. Links to folders are followed, and a folder that several lead to
    is read once, by its own name where it has one here.

    Raises UserError for a folder that cannot be read.
    """
    if folder.resolve() == Path(folder.resolve().anchor):
        expected = "a folder of documents"
        raise UserError(Problem(str(folder), "the whole disk, which is not read", expected))
    found = Below()
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    linked: list[Path] = []
    above = {(one.st_dev, one.st_ino) for one in map(os.stat, folder.resolve().parents)}
    while waiting or linked:
        for entry in _entries(waiting.pop() if waiting else linked.pop(0), seen):
            path = Path(entry.path)
            if _is(entry.is_file):
                found.files.append(path)
            elif not _is(entry.is_dir) or _number(entry) in above:
                found.others.append(path)
            else:
                (linked if entry.is_symlink() else waiting).append(path)
    return Below(sorted(found.files), sorted(found.others))


def _number(entry: os.DirEntry[str]) -> tuple[int, int]:
    """What tells one folder from another, whatever its name."""
    known = entry.stat()
    return known.st_dev, known.st_ino


def _entries(folder: Path, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """The visible names of a folder; none of one that was read before."""
    try:
        known = folder.stat()
        if (known.st_dev, known.st_ino) in seen:
            return []
        seen.add((known.st_dev, known.st_ino))
        with os.scandir(folder) as entries:
            visible = [one for one in entries if not one.name.startswith(".")]
    except OSError as error:
        found = f"cannot be read: {error.strerror}"
        raise UserError(Problem(str(folder), found, "a folder that may be read")) from None
    return sorted(visible, key=lambda one: one.name)


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # a link in a circle, or behind a folder that may not be read
        return False


def fitting(root: Path, pattern: str) -> list[Path]:
    """What a pattern fits, by names: from `root` on, or where it is absolute from the beginning.

    `**` follows no links, of which a few in circles have more ways than there are atoms. Hidden
    names fit only where the pattern says so.
    """
    parts = Path(pattern).parts
    start, rest = (Path(parts[0]), parts[1:]) if Path(pattern).is_absolute() else (root, parts)
    try:
        found = sorted(start.glob("/".join(rest)))
    except ValueError:  # `a**b`
        return []
    hidden = (any(part.startswith(".") for part in _beyond(path, start, rest)) for path in found)
    return [path for path, is_hidden in zip(found, hidden, strict=True) if not is_hidden]


def _beyond(path: Path, start: Path, said: Iterable[str]) -> list[str]:
    """The names of a path below `start` that a pattern does not say itself."""
    return [part for part in path.relative_to(start).parts if part not in said]
