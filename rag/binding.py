"""What a growing database was made for, and that one process alone writes it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Tell a locked file as such. Raises UserError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            raise
        found, hint = "another process writes this database", "wait for it, or end it"
        raise UserError(Problem(str(path), found, "one writer at a time", hint)) from None


def binding_of(path: Path) -> dict[str, Any] | None:
    """What the file was made for; None where it cannot be read.

    Raises UserError where another process writes it.
    """
    try:
        connection = sqlite3.connect(path, timeout=0)
        try:
            with one_writer(path):
                row = connection.execute("SELECT value FROM binding").fetchone()
        finally:
            connection.close()
        value = json.loads(row[0])
    except (sqlite3.DatabaseError, TypeError, ValueError):
        return None
    return value if isinstance(value, dict) else None
