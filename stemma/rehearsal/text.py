"""A rehearsal's table: each stage's cost beside the forecast, and scaled to the full run. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stemma.plan.forecast import Plan, StagePlan
from stemma.table import UNKNOWN, aligned

HEADS = (
    "stage",
    "seconds",
    "memory",
    "fullest",
    "plan",
    "disk",
    "plan",
    "full run: hours",
    "memory",
    "disk",
)
SMALL = 10**8
"""Weights below which sizes are told in MB."""
UNITS = {"GB": 1e9, "MB": 1e6}
LEGEND = (
    "memory: of all processes together, then of the fullest alone, which is what `plan`\n"
    "forecasts; with mapped files; disk: the stage's folder at its fullest; plan: what it says\n"
    "of this small run\n"
    "full run: on this machine, at most: steps by the FLOPs `plan` counts (long ones cost less),\n"
    "all else by the number of weights, memory of all processes by what `plan` says more; a\n"
    "dash: it grows with the rows"
)


@dataclass(frozen=True)
class Measured:
    """The cost of one step of a rehearsal."""

    seconds: float
    memory: int
    """Bytes of all processes together, at the fullest moment."""
    process: int
    """Bytes of the fullest process alone."""
    disk: int
    """Bytes of the stage's folder at its fullest."""
    stepping: float = 0.0
    """The seconds of it that grow with the amount of training."""
    resumed: bool = False
    """A killed attempt went before; the figures are of the last one."""


@dataclass(frozen=True)
class Line:
    """One step: measured, as `plan` says, and scaled to the full run. None: not known."""

    stage: str
    found: Measured
    planned_memory: int | None = None
    planned_disk: int | None = None
    full_seconds: float | None = None
    full_memory: int | None = None
    full_disk: int | None = None


def lines(figures: Mapping[str, Measured], here: Plan, full: Plan) -> list[Line]:
    """Every step in its order. `here` is the forecast of the rehearsal, `full` of the full run."""
    return [_line(name, found, here, full) for name, found in figures.items()]


def _line(name: str, found: Measured, here: Plan, full: Plan) -> Line:
    peak = here.peak(name)
    full_peak = full.peak(name)
    full_memory = None
    if peak is not None and full_peak is not None:
        full_memory = found.memory + full_peak - peak
    growth = full.shapes.parameters() / here.shapes.parameters()
    small = _of_stage(here, name)
    large = _of_stage(full, name)
    if small is not None and large is not None:
        return Line(
            stage=name,
            found=found,
            planned_memory=peak,
            planned_disk=small.disk,
            full_seconds=_training_seconds(found, small, large, growth),
            full_memory=full_memory,
            full_disk=round(found.disk * large.disk / small.disk),
        )
    if name == "export":
        small_disk = sum(here.exports.values()) + here.source
        large_disk = sum(full.exports.values()) + full.source
        return Line(
            stage=name,
            found=found,
            planned_memory=peak,
            planned_disk=small_disk,
            full_seconds=found.seconds * growth,
            full_memory=full_memory,
            full_disk=round(found.disk * large_disk / small_disk),
        )
    return Line(name, found, peak, full_memory=full_memory)


def _of_stage(plan: Plan, name: str) -> StagePlan | None:
    """The plan of a stage that trains; None of any other."""
    return next((stage for stage in plan.stages if stage.stage == name), None)


def _training_seconds(
    found: Measured, small: StagePlan, large: StagePlan, growth: float
) -> float | None:
    """Seconds of the full training: its steps by their FLOPs; the rest by the number of weights.

    The rest are gates and merging; `growth` is how many times as many weights there are.
    """
    if not small.flops or large.flops is None or not found.stepping:
        return None
    steps = found.stepping * large.flops / small.flops
    return steps + (found.seconds - found.stepping) * growth


def written(
    title: str, table: Sequence[Line], notes: Mapping[str, Sequence[str]], plan: Plan
) -> str:
    """The table with its sums, its legend, and the notes under their heads."""
    unit = "GB" if plan.shapes.parameters() > SMALL else "MB"
    rows = [_cells(line, unit) for line in table]
    return "\n".join(
        [
            title,
            "",
            *aligned(HEADS, rows),
            "",
            _sums(table, unit),
            LEGEND,
            *_resumed(table),
            "",
            *_notes(notes),
        ]
    )


def _sums(table: Sequence[Line], unit: str) -> str:
    seconds = sum(line.found.seconds for line in table)
    fullest = max((line.found.memory for line in table), default=0)
    memory = f"{_size(fullest, unit)} {unit} of memory at the fullest moment"
    return f"in all {seconds:,.0f} s, {memory}; sizes in {unit}"


def _resumed(table: Sequence[Line]) -> Iterator[str]:
    resumed = [line.stage for line in table if line.found.resumed]
    if resumed:
        yield f"resumed: {', '.join(resumed)}; seconds and memory are of the last attempt"


def _notes(notes: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for head, told in notes.items():
        if told:
            yield f"{head}:\n" + "".join(f"- {note}\n" for note in told)


def _cells(line: Line, unit: str) -> list[str]:
    found = line.found
    hours = UNKNOWN
    if line.full_seconds is not None:
        hours = f"{line.full_seconds / 3600:,.1f}"
    return [
        line.stage,
        f"{found.seconds:,.0f}",
        _size(found.memory, unit),
        _size(found.process, unit),
        _size(line.planned_memory, unit),
        _size(found.disk, unit),
        _size(line.planned_disk, unit),
        hours,
        _size(line.full_memory, unit),
        _size(line.full_disk, unit),
    ]


def _size(count: int | None, unit: str) -> str:
    return UNKNOWN if count is None else f"{count / UNITS[unit]:,.2f}"
