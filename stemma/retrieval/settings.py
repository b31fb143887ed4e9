"""How a database of passages is searched: what is fitted on validation questions and kept with
it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

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
    rerank: PositiveInt = 50
    """Passages of the dense arm that an encoder re-ranks, where the embedder is a static table with
    one; all that the arm then finds."""
    mmr: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Maximal marginal relevance: 1 is relevance alone, less prefers passages that differ."""
    relevance_weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The part of the best cosine in how relevant the first passages are; the rest is the share of
    the question's words that one of them holds, rare words counting more. The arm `bm25` has no
    cosines: there it is the share alone."""
    threshold: float | None = None
    """The relevance (0 to 1) below which nothing was found, and the search answers with no hits.
    None: never."""
