"""Abstention: how relevance is measured, and the threshold below which nothing was found, fitted on
validation questions with and without their passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rag.ranked import Ranked, dense_weight, fused_candidates, rank
from stemma.retrieval.relevance import FIRST, relevance
from stemma.retrieval.settings import SearchSettings
from stemma.strict import Record

KEPT = 0.95
"""The share of questions whose passage was found that the threshold leaves answered, at least."""
CURVE_POINTS = 101
RELEVANCE_WEIGHTS = (0.0, 1.0, *(round(0.1 * tenth, 1) for tenth in range(1, 10)))
"""Word share alone, cosine alone, and both."""


class RelevanceFigures(Record):
    """What one measure of relevance tells of questions with and without their passages."""

    relevance_weight: float
    """The part of the cosine; the rest is the share of words."""
    threshold: float
    """The highest that leaves KEPT of the questions answered."""
    auroc: float
    """The chance that a question with its passages in the database has a higher relevance than one
    whose passages were taken out; 0.5 tells nothing."""
    kept: float
    """The share of the questions that are answered with this threshold."""
    refused: float
    """The share of those without their passages that it refuses. Not 1 at best: others' passages
    may answer as well."""


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


def relevances(
    ranked: Sequence[Ranked], settings: SearchSettings, is_given: bool
) -> Iterator[RelevanceFigures]:
    """Every measure of relevance that may be chosen, the simplest first."""
    weights = (settings.relevance_weight,) if is_given else RELEVANCE_WEIGHTS
    for weight in weights if settings.arm != "bm25" else (0.0,):
        asked = settings.model_copy(update={"relevance_weight": weight})
        present, absent = _told(ranked, asked)
        # As many may be refused, at most.
        level = np.sort(present)[int(len(present) * (1 - KEPT) + 1e-9)]
        yield RelevanceFigures(
            relevance_weight=weight,
            threshold=float(level),
            auroc=auroc(present, absent),
            kept=float((present >= level).mean()),
            refused=float((absent < level).mean()),
        )


def auroc(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """The share of pairs of which the first is the larger; equal ones count half.

    The area under the ROC curve: Hanley and McNeil, Radiology 143 (1982). Time: n log n.
    """
    order = np.sort(lower)
    below = np.searchsorted(order, higher, "left") + np.searchsorted(order, higher, "right")
    return float(below.mean() / (2 * len(lower)))


def _told(
    ranked: Sequence[Ranked], settings: SearchSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every question's relevance: with its passages in the database, and without."""
    found = [
        (relevance_of(one, settings, frozenset()), relevance_of(one, settings, one.gold))
        for one in ranked
    ]
    present, absent = np.array(found).T
    return present, absent


def curve(ranked: Sequence[Ranked], settings: SearchSettings, k: int) -> list[CurvePoint]:
    """Points at evenly spread quantiles of the questions' relevance."""
    weight = dense_weight(settings)
    found = np.array([rank(one, weight, settings.rrf_k) <= k for one in ranked])
    present, absent = _told(ranked, settings)
    levels = np.quantile(present, np.linspace(0, 1, CURVE_POINTS), method="lower")
    return [_point(level, present, absent, found) for level in np.unique(levels)]


def relevance_of(one: Ranked, settings: SearchSettings, left_out: frozenset[str]) -> float:
    """What the search compares with the threshold, without the passages that are left out."""
    bm25, cosine = (
        {name: score for name, score in scores.items() if name not in left_out}
        for scores in (one.bm25, one.cosine)
    )
    ids, scores = fused_candidates(
        Ranked(one.gold, bm25, cosine), dense_weight(settings), settings.rrf_k
    )
    first = [ids[place] for place in np.argsort(-scores, kind="stable")[:FIRST] if scores[place]]
    share = max((one.shares[name] for name in first), default=0.0)
    weight = 0.0 if settings.arm == "bm25" else settings.relevance_weight
    return relevance(max(cosine.values(), default=0.0), share, weight)


def _point(
    level: float,
    present: NDArray[np.float64],
    absent: NDArray[np.float64],
    found: NDArray[np.bool_],
) -> CurvePoint:
    answered = present >= level
    return CurvePoint(
        threshold=float(level),
        coverage=float(answered.mean()),
        risk=float(1 - found[answered].mean()) if answered.any() else None,
        kept=float(answered[found].mean()) if found.any() else None,
        refused=float((absent < level).mean()),
    )


def fitted_threshold(points: Sequence[CurvePoint]) -> float | None:
    """The highest threshold that keeps KEPT of the found; None where nothing was found."""
    good = [point.threshold for point in points if point.kept is not None and point.kept >= KEPT]
    return max(good, default=None)
