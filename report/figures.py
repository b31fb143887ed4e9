"""Every figure of every variant, task by task: nothing measured is left out. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from report import meanings
from report.readable import fixed, interval, number, size
from report.run_data import RunData, Table
from stemma.rows import Score

PLACES = 3
SIGNED = tuple(f"_minus_{name}" for name in ("merged", *meanings.AGAINST))
EMPTY = ("empty", "empty_replies")
"""Counts of replies that say nothing: a row of the page only where some variant has one."""
SPREAD = "_spread"
"""Behind the name of a metric that was measured twice: its spread is in the metric's own unit."""
UNLIKE_SHARES = ("_bytes", "_seconds", "_per_second", "_p", "_p_holm")
"""Ends of metrics that want significant figures; p-values have no sign."""


@dataclass(frozen=True)
class FigureCell:
    """A figure as the page prints it; empty where it was not measured."""

    text: str = ""
    bounds: str = ""
    n: int | None = None
    """Only where the variants' counts differ: else the row says it once."""


@dataclass(frozen=True)
class MetricRow:
    """One metric over all variants."""

    metric: str
    meaning: str
    n: int | None
    """The rows it is measured on; None where the variants' counts differ."""
    cells: list[FigureCell]


@dataclass(frozen=True)
class TaskFigures:
    """All metrics of one task."""

    task: str
    meaning: str
    variants: list[str]
    rows: list[MetricRow]


def task_figures(evidence: RunData) -> list[TaskFigures]:
    """The figures by task and variant, both in the recipe's order, metrics as they were scored."""
    by_task: dict[str, dict[str, dict[str, Score]]] = {}
    for score in evidence.scores:
        metrics = by_task.setdefault(score.task, {})
        metrics.setdefault(score.metric, {})[score.variant] = score
    found = []
    for task, metrics in sorted(by_task.items(), key=lambda item: _task_place(evidence, item[0])):
        named = {name for scores in metrics.values() for name in scores}
        variants = sorted(named, key=lambda name: _place(evidence, name))
        rows = [
            _row(task, metric, variants, scores)
            for metric, scores in metrics.items()
            if metric.removesuffix(SPREAD) not in EMPTY or any(one.value for one in scores.values())
        ]
        found.append(TaskFigures(task, meanings.of_task(task), variants, rows))
    return found


def _task_place(evidence: RunData, task: str) -> int:
    names = [options.task for options in evidence.recipe.eval.tasks]
    return names.index(task) if task in names else len(names)


def _place(evidence: RunData, variant: str) -> tuple[int, str]:
    """Variants of the recipe in its order, then any others (a pair that was judged) by name."""
    known = evidence.recipe.eval.variants
    return (known.index(variant) if variant in known else len(known), variant)


def _row(task: str, metric: str, variants: list[str], scores: dict[str, Score]) -> MetricRow:
    counts = {score.n for score in scores.values()}
    n = counts.pop() if len(counts) == 1 else None
    cells = [_cell(scores[name], n) if name in scores else FigureCell() for name in variants]
    return MetricRow(metric, meanings.of_metric(task, metric), n, cells)


def _cell(score: Score, common: int | None) -> FigureCell:
    return FigureCell(text_of(score), bounds_of(score), None if common else score.n)


def text_of(score: Score) -> str:
    """A score's value in its own unit: bytes, a rate, a share."""
    return _written(score.metric, score.value)


def bounds_of(score: Score) -> str:
    """Its interval in the same unit; empty where it has none."""
    if score.low is None or score.high is None:
        return ""
    if _is_plain(score.metric, score.value):
        return interval(score.low, score.high, PLACES, signed=score.metric.endswith(SIGNED))
    return f"[{_written(score.metric, score.low)} to {_written(score.metric, score.high)}]"


def _written(metric: str, value: float) -> str:
    if metric.removesuffix(SPREAD).endswith("_bytes") and math.isfinite(value):
        return size(value)
    if not _is_plain(metric, value):
        return number(value)
    return fixed(value, PLACES, signed=metric.endswith(SIGNED))


def _is_plain(metric: str, value: float) -> bool:
    """Whether a figure is written with a fixed number of places: shares, rewards, their changes."""
    metric = metric.removesuffix(SPREAD)
    if metric.endswith(UNLIKE_SHARES) or metric in EMPTY or not math.isfinite(value):
        return False
    return abs(value) < 100 and not (value == int(value) and abs(value) > 1)


def scores_table(evidence: RunData) -> Table:
    """Every score with its meaning, in full precision, for the files."""
    found = sorted(evidence.scores, key=lambda score: (score.task, score.metric, score.variant))
    rows = [[s.task, s.metric, s.variant, s.value, s.low, s.high, s.n, s.samples] for s in found]
    heads = ("Task", "Metric", "Variant", "Value", "Low", "High", "n", "Samples")
    return Table(heads, rows)
