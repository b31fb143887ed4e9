"""Validation questions with the candidates that each arm of a search finds for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemma.retrieval.relevance import word_share
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings


@dataclass(frozen=True)
class Question:
    """A validation question and the ids of the passages that answer it."""

    text: str
    gold: frozenset[str]


@dataclass(frozen=True)
class Ranked:
    """A question's candidates, best first, by each arm: passage ids with scores."""

    gold: frozenset[str]
    bm25: dict[str, float]
    cosine: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    """The share of the question's words that each holds."""


def ask(searcher: Searcher, questions: Sequence[Question], candidates: int) -> list[Ranked]:
    """The candidates of every question by BM25, and by vectors where the database has any.

    Time beside the searches: the candidates' words.
    """
    texts = [question.text for question in questions]
    lexical = searcher.search(texts, candidates, "bm25")
    dense = (
        searcher.search(texts, candidates, "dense") if searcher.embedder else [[] for _ in texts]
    )
    found = []
    for question, words, vectors in zip(questions, lexical, dense, strict=True):
        weights = searcher.database.lexical.weights(question.text)
        passages = {hit.passage.id: hit.passage.searched for hit in [*words, *vectors]}
        ranked = Ranked(
            question.gold,
            {hit.passage.id: hit.score for hit in words},
            {hit.passage.id: hit.score for hit in vectors},
            {name: word_share(weights, text) for name, text in passages.items()},
        )
        found.append(ranked)
    return found


def rank(one: Ranked, weight: float, rrf_k: float) -> float:
    """The rank of the first right passage, from 1; infinite where there is none."""
    ids, scores = fused_candidates(one, weight, rrf_k)
    right = [place for place, name in enumerate(ids) if name in one.gold and scores[place] > 0]
    if not right:
        return float("inf")
    best = max(right, key=lambda place: (scores[place], -place))
    # Of equal scores the first stands first, as `stemma.retrieval.fusion.fused` has it.
    before = int((scores > scores[best]).sum() + (scores[:best] == scores[best]).sum())
    return before + 1


def fused_candidates(
    one: Ranked, weight: float, rrf_k: float
) -> tuple[list[str], NDArray[np.float64]]:
    """All candidates, and their scores by weighted reciprocal rank fusion."""
    ids = list(dict.fromkeys([*one.bm25, *one.cosine]))
    places = {name: place for place, name in enumerate(ids)}
    scores = np.zeros(len(ids))
    for ranking, share in ((one.bm25, 1 - weight), (one.cosine, weight)):
        if ranking:
            rows = np.fromiter((places[name] for name in ranking), int, len(ranking))
            scores[rows] += share / (rrf_k + np.arange(1, len(ranking) + 1))
    return ids, scores


def dense_weight(settings: SearchSettings) -> float:
    """The share of the dense arm, whichever arm is searched."""
    return {"bm25": 0.0, "dense": 1.0, "hybrid": settings.weight}[settings.arm]
