"""Training curves from the trainers' logs: which records make which panel, per stage.

A log record looks like `{"loss": 0.52, "rewards/accuracies": 0.75, "step": 40, "epoch": 0.5}`, an evaluation's like
`{"eval_loss": 0.49, "eval_rewards/accuracies": 0.8, "step": 50, "epoch": 0.6}`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from report.chart import SMOOTH_ABOVE, Series, line_chart
from report.evidence import Record
from report.readable import number

TRAIN_AND_EVAL = (("train", "", "one", False), ("eval", "eval_", "two", True))


@dataclass(frozen=True)
class Curves:
    """What a stage's log tells."""

    name: str
    steps: int
    panels: list[Panel]
    not_finite: int
    """How many records hold a value that is not a finite number: told, because it is left out of the curves."""


@dataclass(frozen=True)
class Panel:
    """One chart of one stage: its lines and where they ended."""

    title: str
    svg: Markup
    legend: Sequence[tuple[str, str]]
    """(css class, words) per line, with the last value."""
    smoothed: bool


def panels(stage: str, history: Sequence[Record]) -> list[Panel]:
    """The panels this stage's log has values for, in reading order."""
    found = [_train_and_eval(stage, title, key, history) for title, key in _MEASURES]
    found.append(_panel(stage, "Chosen and rejected reward", _answers(history)))
    return [panel for panel in found if panel is not None]


_MEASURES = (
    ("Loss", "loss"),
    ("Reward accuracy", "rewards/accuracies"),
    ("Reward margin", "rewards/margins"),
)


def points(history: Sequence[Record], key: str) -> list[tuple[float, float]]:
    """(step, value) of every record that has the key; values that are not finite cannot be drawn."""
    records = [record for record in history if key in record and "step" in record]
    pairs = [(float(record["step"]), float(record[key])) for record in records]
    return [(step, value) for step, value in pairs if math.isfinite(value)]


def read(stage: str, history: Sequence[Record]) -> Curves:
    """A stage's curves."""
    steps = max((int(record["step"]) for record in history if "step" in record), default=0)
    values = [[v for v in record.values() if isinstance(v, float)] for record in history]
    broken = sum(any(not math.isfinite(value) for value in inner) for inner in values)
    return Curves(stage, steps, panels(stage, history), broken)


def grouped(stages: Sequence[Curves]) -> dict[str, list[tuple[str, Panel]]]:
    """Stages with one panel side by side under one heading; the others under their own."""
    groups: dict[str, list[tuple[str, Panel]]] = {}
    for stage in stages:
        heading = f"{stage.name} · {stage.steps:,} steps" if len(stage.panels) > 1 else LOSSES
        lead = "" if len(stage.panels) > 1 else f"{stage.name} · "
        groups.setdefault(heading, []).extend((lead + panel.title, panel) for panel in stage.panels)
    return groups


LOSSES = "Next-token stages"


def _train_and_eval(stage: str, title: str, key: str, history: Sequence[Record]) -> Panel | None:
    lines = [Series(name, css, points(history, prefix + key), marked) for name, prefix, css, marked in TRAIN_AND_EVAL]
    return _panel(stage, title, lines)


def _answers(history: Sequence[Record]) -> list[Series]:
    prefix = "eval_" if any("eval_rewards/chosen" in record for record in history) else ""
    told = "eval" if prefix else "train"
    names = (("chosen", "one"), ("rejected", "two"))
    return [Series(f"{name} ({told})", css, points(history, f"{prefix}rewards/{name}"), True) for name, css in names]


def _panel(stage: str, title: str, lines: Sequence[Series]) -> Panel | None:
    drawn = [line for line in lines if line.points]
    if not drawn:
        return None
    legend = [(line.css, f"{line.name} {number(line.points[-1][1])}") for line in drawn]
    long = any(len(line.points) > SMOOTH_ABOVE for line in drawn)
    return Panel(title, line_chart(f"{stage}: {title}", drawn), legend, long)
