"""Pure: from what the workers measured to the rows of results.json, and every variant against the merged model."""

from __future__ import annotations

from typing import Any

from eval.measure import Metric, Scored
from eval.statistics import bootstrap_mean, mcnemar_p
from stemma.rows import Score

CHIEF = "merged"
"""The variant others are compared with: what training made, before any format took something away."""

Samples = dict[str, list[dict[str, Any]]]


def scores_of(variant: str, task: str, metrics: list[Metric]) -> list[Score]:
    return [
        Score(
            variant=variant, task=task, metric=metric.name, value=metric.value, n=metric.n, low=metric.low,
            high=metric.high, samples=f"samples/{variant}/{task}.jsonl",
        )
        for metric in metrics
    ]  # fmt: skip


def minus(found: Scored, chief: Scored, seed: int) -> list[Metric]:
    """For each yes-or-no metric the paired difference to the merged model (bootstrap interval) and McNemar's p."""
    metrics = []
    for name, right in found.right.items():
        ids = [row for row in right if row in chief.right[name]]
        ours, theirs = [right[row] for row in ids], [chief.right[name][row] for row in ids]
        changes = [float(a) - float(b) for a, b in zip(ours, theirs, strict=True)]
        low, high = bootstrap_mean(changes, ids, seed)
        metrics.append(Metric(f"{name}_minus_merged", sum(changes) / len(changes), len(ids), low, high))
        metrics.append(Metric(f"{name}_minus_merged_p", mcnemar_p(ours, theirs), len(ids)))
    return metrics


def token_disagreements(samples: Samples, yardstick: Samples) -> list[str]:
    """Rows, as task/id, whose token ids differ from the yardstick's."""
    known = {(task, row["id"]): row["ids_digest"] for task, rows in yardstick.items() for row in rows}
    return [
        f"{task}/{row['id']}"
        for task, rows in samples.items()
        for row in rows
        if row["ids_digest"] != known[task, row["id"]]
    ]
