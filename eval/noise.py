"""The noise floor: variants measured several times, in other batches and with other threads.

What differs between two measurements of the same weights on the same rows is rounding: sums added
up in another order. A difference between two variants that is no larger says nothing of them.
Speeds are measured again as they were, with the same threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eval.cells import decisive
from eval.job import Cell, Job, Measured, Samples, Variant
from eval.measuring import Measuring
from eval.task import TaskScores
from eval.tasks import TASKS
from stemma.comparisons import Verdicts
from stemma.digests import digest_json
from stemma.recipe.evaluation import EvalSection
from stemma.rows import Score

ScoredTasks = Mapping[str, TaskScores]
"""One variant's figures, by task."""


def measure_again(
    measuring: Measuring, jobs: Sequence[Job], section: EvalSection
) -> list[Measured]:
    """Every further measurement that the recipe asks for, by variant and task."""
    scored = [job for job in jobs if job.variant.name in section.variants]
    found: list[Measured] = []
    for number in range(1, section.repeat):
        further = {job.variant.name: list(_again(job, number)) for job in scored}
        measured = measuring.measure([one for parts in further.values() for one in parts])
        found.append({name: _joined(measured, parts) for name, parts in further.items()})
    return found


def _joined(measured: Measured, parts: Sequence[Job]) -> Samples:
    return {task: rows for job in parts for task, rows in measured[job.variant.name].items()}


def _again(job: Job, number: int) -> Iterator[Job]:
    """The same cells once more: those of the process's own figures as they were, the others with
    half the threads, or two in place of one."""
    variant = job.variant
    parts = {
        "process": (variant.threads, [c for c in job.cells if TASKS[c.task].measures_process]),
        "rows": (
            variant.threads // 2 or 2,
            [c for c in job.cells if not TASKS[c.task].measures_process],
        ),
    }
    for part, (threads, cells) in parts.items():
        if cells:
            name = f"{variant.name}.again{number}.{part}"
            other = variant.model_copy(update={"name": name, "threads": threads, "repeat": number})
            yield Job(variant=other, cells=[_moved(other, cell) for cell in cells])


def _moved(variant: Variant, cell: Cell) -> Cell:
    """The cell with a place of its own for what is found."""
    key = digest_json(decisive(variant, cell.options))[:32]
    folder = Path(cell.folder).with_name(f"{cell.task}-{key}")
    return cell.model_copy(update={"folder": str(folder)})


def spreads(
    scored: Mapping[str, ScoredTasks], again: Sequence[Mapping[str, ScoredTasks]]
) -> list[Score]:
    """Of each figure of each variant the largest less the smallest of all measurements
    (`<metric>_spread`, n measurements), and of yes-or-no metrics the rows that did not come out the
    same each time (`<metric>_unsteady`, n rows)."""
    rows: list[Score] = []
    for variant, tasks in scored.items() if again else ():
        for task, first in tasks.items():
            all_times = [first, *(one[variant][task] for one in again)]
            rows += _of_task(variant, task, all_times)
    return rows


def _of_task(variant: str, task: str, times: Sequence[TaskScores]) -> Iterator[Score]:
    values: dict[str, list[float]] = {}
    for one in times:
        for metric in one.metrics:
            values.setdefault(metric.name, []).append(metric.value)
    for name, found in values.items():
        spread = max(found) - min(found)
        yield Score(variant=variant, task=task, metric=f"{name}_spread", value=spread, n=len(found))
    for name, right in times[0].right.items():
        unsteady = sum(
            any(one.right[name][row] != is_right for one in times[1:])
            for row, is_right in right.items()
        )
        yield Score(
            variant=variant, task=task, metric=f"{name}_unsteady", value=unsteady, n=len(right)
        )


def marked(found: Verdicts, spread: Sequence[Score]) -> Verdicts:
    """The comparisons with the noise they stand in: the spread of the variant or of merged, the
    larger of both."""
    if not spread:
        return found
    known = {(one.variant, one.task, one.metric): one.value for one in spread}
    comparisons = []
    for one in found.comparisons:
        name = f"{one.metric}_spread"
        if (one.variant, one.task, name) not in known:  # a benchmark, measured once
            comparisons.append(one)
            continue
        both = [known[variant, one.task, name] for variant in (one.variant, found.baseline)]
        comparisons.append(one.model_copy(update={"spread": max(both)}))
    return found.model_copy(update={"comparisons": comparisons})
