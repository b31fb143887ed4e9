"""Training curves from the trainers' logs: which records make which panel.

A log record looks like `{"loss": 0.52, "rewards/accuracies": 0.75, "step": 40, "epoch": 0.5}`, an
evaluation's like `{"eval_loss": 0.49, "eval_rewards/accuracies": 0.8, "step": 50, "epoch": 0.6}`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from report.chart import Point, line_chart
from report.run_data import Record, RunData, Table

MEASURES = {
    "Loss": "loss",
    "Reward accuracy": "rewards/accuracies",
    "Reward margin": "rewards/margins",
    "Chosen reward": "rewards/chosen",
    "Rejected reward": "rewards/rejected",
}


@dataclass(frozen=True)
class Panel:
    """One measure of one stage, drawn over steps."""

    stage: str
    measure: str
    lines: dict[str, list[Point]]
    """The train line and the eval line."""
    not_finite: int
    """Values that could not be drawn."""

    @property
    def title(self) -> str:
        return f"{self.stage} · {self.measure}"

    @property
    def svg(self) -> Markup:
        return line_chart(self.title, self.lines)


def panels(evidence: RunData) -> list[Panel]:
    """Every panel the logs have values for."""
    return [
        panel
        for stage, history in evidence.histories.items()
        for panel in stage_panels(stage, history)
    ]


def stage_panels(stage: str, history: Sequence[Record]) -> list[Panel]:
    """One stage's panels, in reading order."""
    found = []
    for measure, key in MEASURES.items():
        logged = {"train": points(history, key), "eval": points(history, f"eval_{key}")}
        lines = {name: [p for p in line if math.isfinite(p[1])] for name, line in logged.items()}
        drawn = {name: line for name, line in lines.items() if line}
        if drawn:
            left_out = sum(map(len, logged.values())) - sum(map(len, drawn.values()))
            found.append(Panel(stage, measure, drawn, left_out))
    return found


def points(history: Sequence[Record], key: str) -> list[Point]:
    """(step, value) of every record that has the key."""
    return [
        (float(record["step"]), float(record[key]))
        for record in history
        if key in record and "step" in record
    ]


def ends(evidence: RunData) -> Table:
    """The last values of every curve."""
    rows: list[list[object]] = []
    for panel in panels(evidence):
        last = {name: points[-1] for name, points in panel.lines.items()}
        values = [last[name][1] if name in last else None for name in ("train", "eval")]
        rows.append([panel.stage, panel.measure, max(step for step, _ in last.values()), *values])
    return Table(("Stage", "Curve", "Steps", "train", "eval"), rows)
