"""A static table whose first passages a sentence encoder re-ranks.

The table makes the vectors of all passages, thousands a second; the encoder reads only the passages
that the table has found, while a question waits: on one core about 20 ms for each that it has not
read before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stemma.retrieval.embedding import LlamaEmbedder
from stemma.retrieval.static_table import StaticTable

KEPT_VECTORS = 20_000
"""Passages whose vectors stay in memory (30 MB at 384 numbers); then the memory is emptied."""

Vectors = NDArray[np.float32]


class RerankedTable:
    """A static table with the encoder that re-ranks what it finds: an `Embedder`, and a
    `Reranker`.

    Its vectors, and so its digest, are the table's.
    """

    def __init__(self, table: StaticTable, encoder: LlamaEmbedder) -> None:
        self.table = table
        self.encoder = encoder
        self.digest = table.digest
        self.dimensions = table.dimensions
        self.facts = table.facts | {"rerank": encoder.facts}
        self.cut = table.cut
        self.queries = table.queries
        self.passages = table.passages
        self._vectors: dict[str, Vectors] = {}

    def close(self) -> None:
        self.table.close()
        self.encoder.close()

    def cosines(self, query: str, passages: Sequence[str]) -> Vectors:
        """The encoder's cosine of the query with each passage, [passages]."""
        unread = [text for text in dict.fromkeys(passages) if text not in self._vectors]
        if len(self._vectors) + len(unread) > KEPT_VECTORS:
            self._vectors.clear()
            unread = list(dict.fromkeys(passages))
        self._vectors |= dict(zip(unread, self.encoder.passages(unread), strict=True))
        asked = self.encoder.queries([query])[0]
        return np.array([self._vectors[text] @ asked for text in passages], dtype=np.float32)
