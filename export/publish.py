"""Outputs that appear whole or not at all: made under a temporary name, renamed when finished."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

PART = ".part"


def publish(path: Path, make: Callable[[Path], None]) -> Path:
    """Make `path` (a file or folder) unless an earlier attempt at the same work has finished it."""
    if not path.exists():
        part = path.with_name(f".{path.name}{PART}")
        _remove(part)
        make(part)
        part.replace(path)
    return path


def sweep(folder: Path) -> None:
    """Remove what a killed attempt left half-made."""
    for part in folder.glob(f".*{PART}"):
        _remove(part)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
