"""Figures of benchmarks as scores: intervals, and what compares variants row by row. Pure."""

from __future__ import annotations

from typing import Any

from eval.harness.job import BenchmarkFindings, HarnessFigure, TaskFindings
from eval.statistics import Z, wilson
from eval.task import Metric, TaskScores
from stemma.recipe.eval_tasks import BENCHMARK

Rows = dict[str, float | None]
"""A figure row by row; None where a row has no plain number (pairs that are summed up later)."""


def scores_of(findings: BenchmarkFindings) -> dict[str, TaskScores]:
    """Every task and group of one benchmark, under the name it has in the results."""
    return {
        BENCHMARK + name: _scores(findings, name, found) for name, found in findings.tasks.items()
    }


def _scores(findings: BenchmarkFindings, name: str, found: TaskFindings) -> TaskScores:
    metrics: list[Metric] = []
    right: dict[str, dict[str, bool]] = {}
    nothing = []
    for figure in found.figures:
        label = name_of(figure)
        rows = _rows(findings, found.tasks or [name], figure)
        if figure.value is None or not rows:
            nothing.append(label)
            continue
        hits = _hits(rows, figure.value)
        metrics.append(_metric(label, figure, len(rows), hits is not None))
        if hits is not None:
            right[label] = hits
    facts = found.facts | findings.facts | ({"no number": nothing} if nothing else {})
    return TaskScores(metrics, findings.samples.get(name, []), right, facts)


def name_of(figure: HarnessFigure) -> str:
    """`acc`, or with its filter `exact_match:strict-match`."""
    return figure.metric if figure.filter == "none" else f"{figure.metric}:{figure.filter}"


def _rows(findings: BenchmarkFindings, tasks: list[str], figure: HarnessFigure) -> Rows:
    """The figure of every row, over all tasks of a group."""
    several = len(tasks) > 1
    return {
        f"{task}/{row['doc_id']}" if several else str(row["doc_id"]): _plain(row[figure.metric])
        for task in tasks
        for row in findings.samples.get(task, [])
        if row["filter"] == figure.filter and figure.metric in row
    }


def _plain(value: Any) -> float | None:
    return float(value) if isinstance(value, bool | int | float) else None


def _hits(rows: Rows, value: float) -> dict[str, bool] | None:
    """The rows as right or wrong, where the figure is the share of right ones; else None."""
    values = list(rows.values())
    if any(one not in (0.0, 1.0) for one in values):
        return None
    share = sum(one or 0.0 for one in values) / len(values)
    # A group may weigh its tasks otherwise than by their rows.
    return {row: bool(one) for row, one in rows.items()} if abs(share - value) < 1e-6 else None


def _metric(name: str, figure: HarnessFigure, n: int, is_share: bool) -> Metric:
    """Wilson's interval for a share; for other figures the harness's standard error, 1.96 times."""
    value = figure.value or 0.0
    if is_share:
        return Metric(name, value, n, *wilson(value, n))
    if figure.stderr is None:
        return Metric(name, value, n)
    return Metric(name, value, n, value - Z * figure.stderr, value + Z * figure.stderr)
