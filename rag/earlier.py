"""Vectors of the database that was there before, found by the text that was embedded.

A document that was renamed, or whose passages count otherwise now, is not embedded again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from rag.store import digest_of_text
from rag.vector_file import Rows
from stemma.errors import UserError
from stemma.retrieval.database import PASSAGES, Database
from stemma.retrieval.dense import DenseVectors
from stemma.retrieval.passages import Embedder, Passage


class Earlier:
    """A finished database of the same embedder, opened for its vectors. Close it."""

    def __init__(self, database: Database, vectors: DenseVectors) -> None:
        self._database = database
        self._vectors = vectors
        path = quote(str((database.folder / PASSAGES).absolute()))
        self._connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)

    @classmethod
    def open(cls, folder: Path, embedder: Embedder) -> Earlier | None:
        """None where there is no whole database, or one of another embedder."""
        try:
            found = Database.open(folder)
        except UserError:
            return None
        made_by = found.facts.embedder
        if made_by and made_by.digest == embedder.digest and found.vectors:
            return cls(found, found.vectors)
        found.close()
        return None

    def close(self) -> None:
        self._connection.close()
        self._database.close()

    def vectors(self, passages: Sequence[Passage]) -> dict[str, Rows]:
        """By searched text, the vectors of those passages whose text is there, under any id."""
        digests = [digest_of_text(passage.text) for passage in passages]
        wanted = {passage.searched for passage in passages}
        places = ",".join("?" * len(digests))
        rows = self._connection.execute(
            f"SELECT number, title, text FROM passages WHERE digest IN ({places})", digests
        )
        numbers = {
            Passage(id="", title=title, text=text, source="", place="").searched: int(number)
            for number, title, text in rows
        }
        known = {text: number for text, number in numbers.items() if text in wanted}
        vectors = self._vectors.of(list(known.values())).astype(np.float16)
        return dict(zip(known, vectors, strict=True))
