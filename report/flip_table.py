"""The table of flips: rows that a variant has right where the merged model has not, and the other
way round. Pure."""

from __future__ import annotations

from report.figures import bounds_of, text_of
from report.run_data import RunData, Table

METRICS = {"mcq": "accuracy", "preference": "reward_accuracy", "generation": "accuracy"}
"""The yes-or-no metric of each task, whose difference to merged was scored."""
HEADS = (
    "Task",
    "Variant",
    "n",
    "Both right",
    "Lost",
    "Gained",
    "Both wrong",
    "Δ to merged",
    "95% interval",
    "Exact p",
)


def flip_table(evidence: RunData) -> Table:
    """One row for each task and variant, with the scored difference beside the counts."""
    rows: list[list[object]] = []
    for one in evidence.samples.flips if evidence.samples else []:
        metric = f"{METRICS.get(one.task, 'accuracy')}_minus_merged"
        change = evidence.score(one.variant, one.task, metric)
        p = evidence.score(one.variant, one.task, f"{metric}_p")
        counts = [one.n, one.both_right, one.lost, one.gained, one.both_wrong]
        said = [text_of(change), bounds_of(change)] if change else [None, None]
        rows.append([one.task, one.variant, *counts, *said, p.value if p else None])
    return Table(HEADS, rows)
