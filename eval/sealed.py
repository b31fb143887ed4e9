"""Folders of rows that are made once and read again, with the digests of their files beside them:
one that was changed is made anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stemma.digests import digest_of
from stemma.errors import UserError
from stemma.files import new_folder
from stemma.jsonl import read_json, write_json

SEAL = "sha256.json"


def is_whole(folder: Path) -> bool:
    """Whether the folder is there, each file as it was written."""
    try:
        sealed = read_json(folder / SEAL)
    except (OSError, UserError):
        return False
    return bool(sealed == _digests(folder))


@contextmanager
def sealing(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the folder's place, sealed, when the block ends well."""
    with new_folder(folder) as part:
        yield part
        write_json(part / SEAL, _digests(part))


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: digest_of(path) for path in sorted(folder.iterdir()) if path.name != SEAL}
