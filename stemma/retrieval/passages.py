"""Passages, and what a search finds of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Passage:
    """A piece of a document, as long as a model can read several of."""

    id: str
    """Its name in its source; after a rebuild the same."""
    title: str
    text: str
    source: str
    """The name of the recipe's source it was read by: what `sources` filters by."""
    place: str
    """Where it stands in its document: `page 3`, `Heat › Entropy`, or nothing."""

    @property
    def searched(self) -> str:
        """The text that words and vectors are made of: a title often names what the text is about
        and the text does not."""
        return f"{self.title}\n{self.text}" if self.title else self.text


@dataclass(frozen=True)
class Hit:
    """A passage that a search found, and by which arm."""

    passage: Passage
    score: float
    """What the hits are ordered by, larger first; comparable within one search only."""
    bm25: float | None
    """BM25's score, larger is better; None: not among its candidates."""
    cosine: float | None
    """Cosine of query and passage; None: not computed."""


@runtime_checkable
class Reranker(Protocol):
    """An embedder that reads what its vectors have found once more."""

    def cosines(self, query: str, passages: Sequence[str]) -> NDArray[np.float32]:
        """Cosines of the query with each passage, [passages]."""


class Embedder(Protocol):
    """A model that makes vectors of texts."""

    digest: str
    """What decides its vectors: weights, runtime, pooling, prefixes. Stored in the database; a
    mismatch is an error."""
    dimensions: int

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of length 1, [texts, dimensions], of what is searched with."""

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same of what is found."""
