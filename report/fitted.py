"""The search as stage `rag` fitted it on validation questions: arms, abstention, and the curve of
its threshold. Pure.

`fitted.json` is `rag.fitting.Fitted`: arms, measures of relevance, curve, n, what was chosen.
"""

from __future__ import annotations

from report.readable import fixed
from report.risk import RiskCurve
from report.run_data import Record, RunData, Table

USUAL = (0.5, 60.0)
"""Weight and constant of reciprocal rank fusion as it is often taken."""


def fitted_search(evidence: RunData) -> Table:
    """BM25 and vectors alone, fusion as it is often taken, and the fusion that found most."""
    heads = ("Search", "n", "Recall at 1", "Recall at 10", "MRR at 10", "Fitted")
    found = evidence.fitted
    if not found:
        return Table(heads, [])
    hybrids = [one for one in found["arms"] if one["arm"] == "hybrid"]
    best = max(hybrids, key=lambda one: (one["mrr_10"], one["recall_1"]), default=None)
    shown = [
        one
        for one in found["arms"]
        if one in (best, found["chosen"])
        or one["arm"] != "hybrid"
        or (one["weight"], one["rrf_k"]) == USUAL
    ]
    rows = [
        [
            _named(one),
            one["n"],
            *(fixed(one[name], 3) for name in ("recall_1", "recall_10", "mrr_10")),
            "yes" if one == found["chosen"] else None,
        ]
        for one in shown
    ]
    return Table(heads, rows)


def _named(one: Record) -> str:
    if one["arm"] != "hybrid":
        return str(one["arm"])
    return f"hybrid, weight {one['weight']:g}, k {one['rrf_k']:g}"


def fitted_relevance(evidence: RunData) -> Table:
    """What each measure of relevance tells of questions with and without their passages."""
    heads = ("Relevance", "n", "AUROC", "Kept", "Refused without passage", "Fitted")
    found = evidence.fitted
    if not found:
        return Table(heads, [])
    chosen = found["settings"]["relevance_weight"]
    alone = (0.0, 1.0, chosen)
    rows = [
        [
            f"{1 - weight:g} words + {weight:g} cosine",
            found["n"],
            *(fixed(one[name], 3) for name in ("auroc", "kept", "refused")),
            "yes" if weight == chosen else None,
        ]
        for one in found["relevances"]
        if (weight := round(one["relevance_weight"], 1)) in alone
    ]
    return Table(heads, rows)


def fitted_curves(evidence: RunData) -> list[RiskCurve]:
    """Questions without a right passage among those that get passages, over all thresholds."""
    found = evidence.fitted
    if not found:
        return []
    points = [(one["coverage"], one["risk"]) for one in found["curve"] if one["risk"] is not None]
    name = "fitted search · validation"
    return [RiskCurve(name, {name: sorted(points)})] if len(points) > 1 else []


def threshold(evidence: RunData) -> str:
    """The fitted threshold of relevance, as the page says it."""
    found = evidence.fitted["settings"]["threshold"] if evidence.fitted else None
    return "none" if found is None else fixed(found, 3)
