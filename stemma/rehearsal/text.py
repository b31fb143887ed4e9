"""A rehearsal's table: what each stage took beside what `plan` says, and what the full run would take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemma.plan.forecast import Plan, StagePlan
from stemma.table import UNKNOWN, aligned

HEADS = ("stage", "seconds", "memory", "fullest", "plan", "disk", "plan", "full run: hours", "memory", "disk")
SMALL = 10**8
"""Weights below which sizes are told in MB."""


@dataclass(frozen=True)
class Measured:
    """What one stage of a rehearsal took: memory of all processes together, and of the fullest alone. `stepping`: the
    seconds of it that grow with the amount of training."""

    seconds: float
    memory: int
    process: int
    disk: int
    stepping: float = 0.0
    resumed: bool = False
    """A killed attempt went before; the figures are of the last one."""


@dataclass(frozen=True)
class Line:
    """One stage: measured, as `plan` says, and scaled to the full run. None: not known."""

    stage: str
    found: Measured
    planned_memory: int | None = None
    planned_disk: int | None = None
    full_seconds: float | None = None
    full_memory: int | None = None
    full_disk: int | None = None


def lines(figures: Mapping[str, Measured], here: Plan, full: Plan) -> list[Line]:
    """Every stage in its order."""
    small, large = ({stage.stage: stage for stage in plan.stages} for plan in (here, full))
    return [_line(name, found, (small.get(name), large.get(name)), (here, full)) for name, found in figures.items()]


def _line(
    name: str, found: Measured, stages: tuple[StagePlan | None, StagePlan | None], plans: tuple[Plan, Plan]
) -> Line:
    here, full = plans
    peak, full_peak = here.peak(name), full.peak(name)
    full_memory = None if peak is None or full_peak is None else found.memory + full_peak - peak
    growth = full.shapes.parameters() / here.shapes.parameters()
    small, large = stages
    if small is not None and large is not None:
        seconds = _training_seconds(found, small, large, growth)
        return Line(name, found, peak, small.disk, seconds, full_memory, round(found.disk * large.disk / small.disk))
    if name == "export":
        disks = [sum(plan.exports.values()) + plan.source for plan in (here, full)]
        full_disk = round(found.disk * disks[1] / disks[0])
        return Line(name, found, peak, disks[0], found.seconds * growth, full_memory, full_disk)
    return Line(name, found, peak, full_memory=full_memory)


def _training_seconds(found: Measured, small: StagePlan, large: StagePlan, growth: float) -> float | None:
    """Steps by their FLOPs; the rest, gates and merging, by the number of weights."""
    if not small.flops or large.flops is None or not found.stepping:
        return None
    return found.stepping * large.flops / small.flops + (found.seconds - found.stepping) * growth


def written(title: str, table: Sequence[Line], notes: Mapping[str, Sequence[str]], plan: Plan) -> str:
    """The table with what was measured, what was forecast, and how the last three columns come about."""
    unit = "GB" if plan.shapes.parameters() > SMALL else "MB"
    rows = [_cells(line, unit) for line in table]
    seconds = sum(line.found.seconds for line in table)
    fullest = max((line.found.memory for line in table), default=0)
    resumed = [line.stage for line in table if line.found.resumed]
    return "\n".join([
        title, "", *aligned(HEADS, rows), "",
        f"in all {seconds:,.0f} s, {_size(fullest, unit)} {unit} of memory at the fullest moment; sizes in {unit}",
        "memory: of all processes together, then of the fullest alone, which is what `plan` forecasts; with mapped",
        "files; disk: the stage's folder at its fullest; plan: what it says of this small run",
        "full run: on this machine, at most: steps by the FLOPs `plan` counts (long ones cost less), all else",
        "by the number of weights, memory of all processes by what `plan` says more; a dash: it grows with the rows",
        *([f"resumed: {', '.join(resumed)}; seconds and memory are of the last attempt"] if resumed else []),
        "", *(f"{head}:\n" + "".join(f"- {note}\n" for note in told) for head, told in notes.items() if told),
    ])  # fmt: skip


def _cells(line: Line, unit: str) -> list[str]:
    found = line.found
    sizes = (found.memory, found.process, line.planned_memory, found.disk, line.planned_disk)
    full = (line.full_memory, line.full_disk)
    hours = UNKNOWN if line.full_seconds is None else f"{line.full_seconds / 3600:,.1f}"
    cells = [line.stage, f"{found.seconds:,.0f}", *(_size(value, unit) for value in sizes), hours]
    return [*cells, *(_size(value, unit) for value in full)]


def _size(count: int | None, unit: str) -> str:
    return UNKNOWN if count is None else f"{count / {'GB': 1e9, 'MB': 1e6}[unit]:,.2f}"
