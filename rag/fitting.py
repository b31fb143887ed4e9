"""Fusion and abstention, fitted on validation questions whose passages are known.

Reciprocal rank fusion with equal weights and k = 60 is often worse than BM25 alone (SciQ: 0.787
against 0.858 at rank 1), so weight and k are searched for; BM25 alone and dense alone are among
what is compared. What is chosen here looks better on these questions than on others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import Arm, SearchSettings
from stemma.strict import Record
from stemma.table import aligned

WEIGHTS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))
RRF_KS = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
DEPTH = 10
"""Ranks that count: MRR@10, and recall at 1 and at 10."""
KEPT = 0.95
"""The share of questions whose passage was found that the threshold leaves answered, at least."""
CURVE_POINTS = 101


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


class ArmFigures(Record):
    """What one way to search found on the validation questions."""

    arm: Arm
    weight: float | None
    rrf_k: float | None
    recall_1: float
    """The share of questions with a right passage at rank 1."""
    recall_10: float
    mrr_10: float
    """The mean of 1 / rank of the first right passage; 0 behind rank 10."""
    n: int


class CurvePoint(Record):
    """What abstaining below a threshold would do."""

    threshold: float
    coverage: float
    """The share of questions that get passages."""
    risk: float | None
    """Of these the share without a right passage among them; None where there are none."""
    kept: float | None
    """Of the questions whose right passage is found the share that still get passages."""
    refused: float
    """The share of questions that get none when their right passages are taken out of the
    database: when nothing in it is relevant."""


class Fitted(Record):
    """Settings fitted on validation questions, and all that was compared."""

    settings: SearchSettings
    chosen: ArmFigures
    arms: list[ArmFigures]
    curve: list[CurvePoint]
    n: int

    def table(self) -> str:
        """BM25, dense, fusion as it is often taken, and the best fusion, for people."""
        single = [one for one in self.arms if one.arm != "hybrid"]
        usual = [one for one in self.arms if (one.weight, one.rrf_k) == (0.5, 60.0)]
        hybrid = [one for one in self.arms if one.arm == "hybrid"]
        best = [max(hybrid, key=_worth)] if hybrid else []
        rows = [
            [
                one.arm if one.weight is None else f"hybrid, weight {one.weight}, k {one.rrf_k:g}",
                *(f"{value:.3f}" for value in (one.recall_1, one.recall_10, one.mrr_10)),
                "chosen" if one == self.chosen else "",
            ]
            for one in dict.fromkeys([*single, *usual, *best])
        ]
        heads = ["arm", "recall@1", "recall@10", "MRR@10", f"n = {self.n}"]
        return "\n".join(aligned(heads, rows))


def ask(searcher: Searcher, questions: Sequence[Question], candidates: int) -> list[Ranked]:
    """The candidates of every question by BM25, and by vectors where the database has any."""
    texts = [question.text for question in questions]
    lexical = searcher.search(texts, candidates, "bm25")
    dense = (
        searcher.search(texts, candidates, "dense") if searcher.embedder else [[] for _ in texts]
    )
    return [
        Ranked(
            question.gold,
            {hit.passage.id: hit.score for hit in words},
            {hit.passage.id: hit.score for hit in vectors},
        )
        for question, words, vectors in zip(questions, lexical, dense, strict=True)
    ]


def fit(ranked: Sequence[Ranked], asked: SearchSettings, given: frozenset[str], k: int) -> Fitted:
    """The settings that are best on the questions; those that are `given` stay as `asked`.

    The arm, weight and `rrf_k` by MRR@10 (of equal ones the simplest), the threshold by KEPT with
    `k` passages an answer. Raises ValueError where there are no questions. Time: questions x
    fusions x candidates.
    """
    if not ranked:
        raise ValueError("no validation questions")
    arms = list(_compared(ranked, asked, given))
    chosen = max(arms, key=_worth)
    update: dict[str, object] = {"arm": chosen.arm}
    if chosen.arm == "hybrid":
        update |= {"weight": chosen.weight, "rrf_k": chosen.rrf_k}
    settings = asked.model_copy(update=update)
    curve = _curve(ranked, settings, k)
    if "threshold" not in given:
        settings = settings.model_copy(update={"threshold": _threshold(curve)})
    return Fitted(settings=settings, chosen=chosen, arms=arms, curve=curve, n=len(ranked))


def _worth(figures: ArmFigures) -> tuple[float, float]:
    return figures.mrr_10, figures.recall_1


def _compared(
    ranked: Sequence[Ranked], asked: SearchSettings, given: frozenset[str]
) -> Iterator[ArmFigures]:
    """Every way to search that may be chosen, the simplest first."""
    has_vectors = any(one.cosine for one in ranked)
    arms: tuple[Arm, ...] = ("bm25", "dense", "hybrid") if has_vectors else ("bm25",)
    if "arm" in given:
        arms = (asked.arm,)
    for arm in arms:
        if arm != "hybrid":
            weight = 0.0 if arm == "bm25" else 1.0
            yield _figures(arm, None, [_rank(one, weight, 60.0) for one in ranked])
            continue
        weights = (asked.weight,) if "weight" in given else WEIGHTS
        for weight in weights:
            for rrf_k in (asked.rrf_k,) if "rrf_k" in given else RRF_KS:
                ranks = [_rank(one, weight, rrf_k) for one in ranked]
                yield _figures("hybrid", (weight, rrf_k), ranks)


def _figures(arm: Arm, fusion: tuple[float, float] | None, ranks: Sequence[float]) -> ArmFigures:
    found = np.array(ranks)
    return ArmFigures(
        arm=arm,
        weight=fusion[0] if fusion else None,
        rrf_k=fusion[1] if fusion else None,
        recall_1=float((found <= 1).mean()),
        recall_10=float((found <= DEPTH).mean()),
        mrr_10=float(np.where(found <= DEPTH, 1 / found, 0).mean()),
        n=len(ranks),
    )


def _rank(one: Ranked, weight: float, rrf_k: float) -> float:
    """The rank of the first right passage, from 1; infinite where there is none."""
    ids, scores = _fused(one, weight, rrf_k)
    right = [place for place, name in enumerate(ids) if name in one.gold and scores[place] > 0]
    if not right:
        return float("inf")
    best = max(right, key=lambda place: (scores[place], -place))
    # Of equal scores the first stands first, as `stemma.retrieval.fusion.fused` has it.
    before = int((scores > scores[best]).sum() + (scores[:best] == scores[best]).sum())
    return before + 1


def _fused(one: Ranked, weight: float, rrf_k: float) -> tuple[list[str], NDArray[np.float64]]:
    """All candidates, and their scores by weighted reciprocal rank fusion."""
    ids = list(dict.fromkeys([*one.bm25, *one.cosine]))
    places = {name: place for place, name in enumerate(ids)}
    scores = np.zeros(len(ids))
    for ranking, share in ((one.bm25, 1 - weight), (one.cosine, weight)):
        if ranking:
            rows = np.fromiter((places[name] for name in ranking), int, len(ranking))
            scores[rows] += share / (rrf_k + np.arange(1, len(ranking) + 1))
    return ids, scores


def _curve(ranked: Sequence[Ranked], settings: SearchSettings, k: int) -> list[CurvePoint]:
    """Points at evenly spread quantiles of the questions' relevance."""
    weight = {"bm25": 0.0, "dense": 1.0, "hybrid": settings.weight}[settings.arm]
    found = np.array([_rank(one, weight, settings.rrf_k) <= k for one in ranked])
    relevance = np.array([_relevance(one, settings.arm, frozenset()) for one in ranked])
    without = np.array([_relevance(one, settings.arm, one.gold) for one in ranked])
    levels = np.quantile(relevance, np.linspace(0, 1, CURVE_POINTS), method="lower")
    return [_point(level, relevance, without, found) for level in np.unique(levels)]


def _relevance(one: Ranked, arm: Arm, left_out: frozenset[str]) -> float:
    """What the search compares with the threshold, without the passages that are left out."""
    scores = one.bm25 if arm == "bm25" else one.cosine
    return max((score for name, score in scores.items() if name not in left_out), default=0.0)


def _point(
    level: float,
    relevance: NDArray[np.float64],
    without: NDArray[np.float64],
    found: NDArray[np.bool_],
) -> CurvePoint:
    answered = relevance >= level
    return CurvePoint(
        threshold=float(level),
        coverage=float(answered.mean()),
        risk=float(1 - found[answered].mean()) if answered.any() else None,
        kept=float(answered[found].mean()) if found.any() else None,
        refused=float((without < level).mean()),
    )


def _threshold(curve: Sequence[CurvePoint]) -> float | None:
    """The highest threshold that keeps KEPT of the found; None where nothing was found."""
    good = [point.threshold for point in curve if point.kept is not None and point.kept >= KEPT]
    return max(good, default=None)
