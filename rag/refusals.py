"""What a database does not take, and what stops its writing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path

from stemma.errors import Problem, UserError
from stemma.retrieval.passages import Passage


def acceptable(passage: Passage) -> Passage:
    """Raise UserError for a passage that cannot be found or stored."""
    expected, found = "text in UTF-8", ""
    if not passage.text.strip():
        found = "an empty text"
    elif not passage.id:
        found, expected = f"no id: {passage.text[:40]!r}", "an id of its own"
    else:
        try:
            f"{passage.id}{passage.title}{passage.text}{passage.place}".encode()
        except UnicodeEncodeError:
            found = "letters that UTF-8 does not have"
    if found:
        raise UserError(Problem(f"passage `{passage.id}` of {passage.source}", found, expected))
    return passage


def refuse_other(known: Passage, passage: Passage) -> None:
    if (known.title, known.text) != (passage.title, passage.text):
        found = f"two texts of one id: {known.text[:40]!r} and {passage.text[:40]!r}"
        hint = "give each document a name of its own"
        where = f"passage `{passage.id}` of {passage.source}"
        raise UserError(Problem(where, found, "an id for each passage", hint))


@contextmanager
def told(work: Path) -> Iterator[None]:
    """Tell a full disk as such. Raises UserError."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        number = getattr(error, "errno", None)
        if number not in (ENOSPC, EDQUOT) and "disk is full" not in str(error):
            raise
        hint = "make room and run it again: it goes on where it stopped"
        raise UserError(Problem(str(work), "the disk is full", "room on the disk", hint)) from None
