"""Small databases of passages, and an embedder that counts what it is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from stemma.retrieval.database import DatabaseFacts
from stemma.retrieval.passages import Embedder, Passage
from stemma.retrieval.settings import SearchSettings

DIMENSIONS = 16
ROOMY = 50_000_000


class LetterEmbedder:
    """Vectors of the letters a text has: real ones, which anybody can compute, and no model's."""

    def __init__(self, name: str = "letters", dimensions: int = DIMENSIONS) -> None:
        self.digest = hashlib.sha256(name.encode()).hexdigest()
        self.dimensions = dimensions
        self.read: list[str] = []
        """Every passage that was embedded."""

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._vector(text) for text in texts])

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.read += texts
        return self.queries(texts)

    def _vector(self, text: str) -> NDArray[np.float32]:
        vector = np.full(self.dimensions, 0.01, dtype=np.float32)
        for letter in text.lower():
            vector[ord(letter) % self.dimensions] += 1
        return vector / np.linalg.norm(vector)


def passage(
    name: str, text: str, title: str = "", source: str = "notes", place: str = ""
) -> Passage:
    return Passage(id=name, title=title, text=text, source=source, place=place)


FACTS = (
    passage("copper", "Copper conducts electricity and turns green with age.", "Copper"),
    passage("iron", "Iron rusts in damp air; rust is a hydrated oxide.", "Iron", place="page 3"),
    passage("cell", "The mitochondrion makes most of the energy of a cell.", "Cell", "biology"),
    passage("leaf", "Chlorophyll in leaves absorbs red and blue light.", "Leaf", "biology"),
    passage("moon", "The Moon moves the tides of the oceans.", "Moon", "sky"),
)


def facts(search: SearchSettings | None = None) -> BuildFacts:
    return BuildFacts(
        mode="every passage of the sources",
        licences={"notes": "CC0-1.0"},
        model={"kind": "letters"},
        search=search or SearchSettings(),
    )


def build(
    folder: Path,
    passages: Sequence[Passage] = FACTS,
    embedder: Embedder | None = None,
    max_bytes: int = ROOMY,
) -> DatabaseFacts:
    """A finished database of these passages."""
    with DatabaseWriter(folder, embedder, max_bytes) as writer:
        writer.add(passages)
        return writer.finish(facts())
