"""Retrieval on the page: each set of weights asked closed-book, with passages by chance, with what
the search found, and with the question's own; the search alone; risk over coverage. Pure."""

from __future__ import annotations

import math

from report.chart import Point
from report.figures import bounds_of, text_of
from report.readable import fixed, interval
from report.risk import RiskCurve
from report.run_data import RunData, Table
from stemma.recipe.eval_arms import ARMS, split_arm

SEARCH = "retrieval"
"""The task of the search's own figures; their variants are its arms."""
SEARCHED = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr_at_10", "ndcg_at_10")
HEADS = ("Weights", "Task", "Metric", "n", "closed-book", *ARMS)


def arms(evidence: RunData) -> Table:
    """A line for each set of weights and yes-or-no metric: every arm on the rows that all of its
    arms answered."""
    rows: list[list[object]] = []
    for one in evidence.arms.shared if evidence.arms else ():
        cells = [one.values.get(arm) for arm in ("", *ARMS)]
        shown = [f"{fixed(c.value, 3)} {interval(c.low, c.high, 3)}" if c else None for c in cells]
        rows.append([one.weights, one.task, one.metric.replace("_", " "), one.n, *shown])
    return Table(HEADS, rows)


def arm_differences(evidence: RunData) -> Table:
    """Every comparison of two arms of the same weights, in pairs."""
    heads = ("Variant", "Against", "Task", "Metric", "n", "Won", "Lost", "Difference", "95%", "p")
    rows = [
        [
            one.variant,
            one.against if split_arm(one.against)[1] else f"{one.against} (closed-book)",
            one.task,
            one.metric.replace("_", " "),
            one.n,
            one.gained,
            one.lost,
            fixed(one.difference, 3, signed=True),
            interval(one.low, one.high, 3, signed=True),
            one.p_holm,
        ]
        for one in (evidence.arms.compared if evidence.arms else ())
    ]
    return Table((*heads[:-1], "p (Holm)"), rows)


def search_alone(evidence: RunData) -> Table:
    """How often the search finds a question's own passage, by each of its arms."""
    found = {
        (score.variant, score.metric): score for score in evidence.scores if score.task == SEARCH
    }
    rows: list[list[object]] = []
    for arm in dict.fromkeys(variant for variant, _ in found):
        figures = [found.get((arm, metric)) for metric in SEARCHED]
        shown = [f"{text_of(one)} {bounds_of(one)}".strip() if one else None for one in figures]
        rows.append([arm, next(one.n for one in figures if one), *shown])
    return Table(("Search", "n", *(name.replace("_", " ") for name in SEARCHED)), rows)


def faithfulness(evidence: RunData) -> Table:
    """What a reply's log-probability falls by when its passage is taken out."""
    names = ("cited", "deletion_fall", "deletion_fall_other", "deletion_fall_minus_other")
    heads = ("Variant", "n", "Cites", "Cited passage out", "Another out", "Difference")
    rows: list[list[object]] = []
    for variant in evidence.recipe.eval.variants:
        figures = [evidence.score(variant, "generation", name) for name in names]
        if figures[1]:
            shown = [f"{text_of(one)} {bounds_of(one)}".strip() if one else None for one in figures]
            rows.append([variant, figures[1].n, *shown])
    return Table(heads, rows)


def threshold_curves(evidence: RunData) -> list[RiskCurve]:
    """Risk over coverage where questions are answered by the search's score, the best first: what a
    threshold below which nothing is retrieved trades."""
    lines: dict[str, list[Point]] = {}
    for record in evidence.arms.risk if evidence.arms else ():
        point = (float(record["coverage"]), float(record["risk"]))
        if all(map(math.isfinite, point)):
            lines.setdefault(f"{record['variant']} · {record['task']}", []).append(point)
    return [RiskCurve(name, {name: points}) for name, points in lines.items()]
