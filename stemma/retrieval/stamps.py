"""The stamp of a database: what its files and its facts share, so that files of two builds are told
apart as soon as they are opened.

It is made of the passages' file, which holds passages and numbers, and for which embedder they are:
what decides all else. It stands in the header of either file, where nothing else is read.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

PLACES = (60, 68)
"""In SQLite's header, four bytes each, which it leaves to programs: user version and application
id."""
FOUR = 4
PIECE = 2**20


def stamp_passages(path: Path) -> str:
    """Write the stamp into a finished SQLite file; returns it. Time: every byte is read."""
    with path.open("r+b") as stream:
        for place in PLACES:
            stream.seek(place)
            stream.write(bytes(FOUR))
        stream.seek(0)
        digest = hashlib.sha256()
        while piece := stream.read(PIECE):
            digest.update(piece)
        stamp = digest.digest()[: FOUR * len(PLACES)]
        for number, place in enumerate(PLACES):
            stream.seek(place)
            stream.write(stamp[number * FOUR : (number + 1) * FOUR])
        stream.flush()
        os.fsync(stream.fileno())
    return stamp.hex()


def stamp_of(path: Path) -> str:
    """The stamp that a SQLite file has."""
    with path.open("rb") as stream:
        head = stream.read(PLACES[-1] + FOUR)
    return b"".join(head[place : place + FOUR] for place in PLACES).hex()
