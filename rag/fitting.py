"""Fusion and abstention, fitted on validation questions whose passages are known.

Reciprocal rank fusion with equal weights and k = 60 is often worse than BM25 alone (SciQ: 0.787
against 0.858 at rank 1), so weight and k are searched for; BM25 alone and dense alone are among
what is compared. What is chosen here looks better on these questions than on others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rag.abstaining import CurvePoint, RelevanceFigures, curve, fitted_threshold, relevances
from rag.ranked import Ranked, rank
from stemma.retrieval.settings import Arm, SearchSettings
from stemma.strict import Record
from stemma.table import aligned

WEIGHTS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 10))
RRF_KS = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
DEPTH = 10
"""Ranks that count: MRR@10, and recall at 1 and at 10."""


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


class Fitted(Record):
    """Settings fitted on validation questions, and all that was compared."""

    settings: SearchSettings
    chosen: ArmFigures
    arms: list[ArmFigures]
    relevances: list[RelevanceFigures]
    curve: list[CurvePoint]
    n: int

    def table(self) -> str:
        """What was compared, for people: arms, and measures of relevance."""
        return f"{self.arm_table()}\n\n{self.relevance_table()}"

    def relevance_table(self) -> str:
        """Measures of relevance, each at its own threshold."""
        rows = [
            [
                f"{1 - one.relevance_weight:.1f} words + {one.relevance_weight:.1f} cosine",
                *(f"{value:.3f}" for value in (one.auroc, one.kept, one.refused)),
                "chosen" if one.relevance_weight == self.settings.relevance_weight else "",
            ]
            for one in self.relevances
        ]
        heads = ["relevance", "AUROC", "kept", "refused without passage", f"n = {self.n}"]
        return "\n".join(aligned(heads, rows))

    def arm_table(self) -> str:
        """BM25, dense, fusion as it is often taken, and the best fusion."""
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


def fit(ranked: Sequence[Ranked], asked: SearchSettings, given: frozenset[str], k: int) -> Fitted:
    """The settings that are best on the questions; those that are `given` stay as `asked`.

    The arm, weight and `rrf_k` by MRR@10 (of equal ones the simplest; a hybrid that finds less at
    rank 1 than the better arm alone is out of the question), the measure of relevance by AUROC, its
    threshold by KEPT with `k` passages an answer. Raises ValueError where there are no questions.
    Time: questions x fusions x candidates.
    """
    if not ranked:
        raise ValueError("no validation questions")
    arms = list(_compared(ranked, asked, given))
    chosen = max(filter(_least(arms), arms), key=_worth)
    update: dict[str, object] = {"arm": chosen.arm}
    if chosen.arm == "hybrid":
        update |= {"weight": chosen.weight, "rrf_k": chosen.rrf_k}
    settings = asked.model_copy(update=update)
    # A threshold that is given is meant of the measure that stands beside it.
    is_given = bool(given & {"relevance_weight", "threshold"})
    measures = list(relevances(ranked, settings, is_given))
    # Of equal ones the first, which is the simplest.
    best = max(measures, key=lambda one: round(one.auroc, 3))
    settings = settings.model_copy(update={"relevance_weight": best.relevance_weight})
    points = curve(ranked, settings, k)
    if "threshold" not in given:
        settings = settings.model_copy(update={"threshold": fitted_threshold(points)})
    return Fitted(
        settings=settings,
        chosen=chosen,
        arms=arms,
        relevances=measures,
        curve=points,
        n=len(ranked),
    )


def _least(arms: Sequence[ArmFigures]) -> Callable[[ArmFigures], bool]:
    """Whether a way to search finds no less at rank 1 than the better arm alone."""
    single = [one for one in arms if one.arm != "hybrid"]
    first = max(single, key=_worth).recall_1 if single else 0.0
    return lambda one: one in single or one.recall_1 >= first


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
            yield _figures(arm, None, [rank(one, weight, 60.0) for one in ranked])
            continue
        weights = (asked.weight,) if "weight" in given else WEIGHTS
        for weight in weights:
            for rrf_k in (asked.rrf_k,) if "rrf_k" in given else RRF_KS:
                ranks = [rank(one, weight, rrf_k) for one in ranked]
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
