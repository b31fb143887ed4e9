"""Models made in the stage's folder: kept for the next build of the same, and made anew of another.

The stage keeps its folder when the recipe changes, for the vectors in it; what a model there was
made of stands in a file beside it.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from stemma.digests import digest_of, size_of
from stemma.errors import Problem, UserError
from stemma.files import remove
from stemma.jsonl import read_json, write_json

FORM = 2
"""Of the models that are made here: 2 since a GGUF has its tokenizer in its header."""


def keep_only(path: Path, folder: Path, **settings: Any) -> None:
    """Remove the model at `path` unless it was made of this folder, with these settings.

    Raises UserError where it must be made and the disk has no room.
    """
    made_of = {"form": FORM, "model": digest_of(folder)} | settings
    note = path.with_name(f"{path.name}.made.json")
    if path.exists() and note.is_file() and _read(note) == made_of:
        return
    remove(path)
    _require_room(path.parent, size_of(folder))
    write_json(note, made_of)


def _read(note: Path) -> Any:
    try:
        return read_json(note)
    except UserError:
        return None


def _require_room(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        found = f"the disk is full: {free / 1e6:,.0f} MB free"
        expected = f"{needed / 1e6:,.0f} MB for the encoder"
        raise UserError(Problem(str(place), found, expected, "make room and run it again"))
