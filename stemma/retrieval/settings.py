"""How a database of passages is searched: what is fitted on validation questions and kept with
it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveFloat, PositiveInt

from stemma.strict import StrictRecord

Arm = Literal["bm25", "dense", "hybrid"]


class SearchSettings(StrictRecord):
    """Settings of a search."""

    arm: Arm = "bm25"
    """BM25 (words), dense (vectors) or hybrid (both, fused)."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The share of the dense arm in a hybrid's score; 0 is BM25 alone."""
    rrf_k: PositiveFloat = 60.0
    """The constant of reciprocal rank fusion: smaller trusts first ranks more."""
    candidates: PositiveInt = 100
    """Passages of each arm that are fused, and that MMR chooses from."""
    mmr: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Maximal marginal relevance: 1 is relevance alone, less prefers passages that differ."""
    threshold: FiniteFloat | None = None
    """The relevance below which nothing was found, and the search answers with no hits: of the best
    hit, its cosine, or for the arm `bm25` its BM25 score. None: never."""
