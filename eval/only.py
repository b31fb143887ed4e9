"""Some cells of an evaluation alone: `stemma eval RECIPE --only gguf-Q4_K_M --only base/mcq`.

Several processes, on several machines over a shared folder, may each measure some cells at the same
time. No score is made and no manifest written: a later `stemma eval` takes all that is kept, by
content, and measures only what nobody has.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Sequence

from eval.cells import MEASURED, jobs_of
from eval.job import Job
from eval.measuring import Measuring
from eval.rows_to_score import rows_of_tasks
from stemma.errors import Problem, UserError, nearest
from stemma.files import remove
from stemma.stages import Work
from stemma.workplace import writable


def measure_only(work: Work, asked: Sequence[str], dry_run: bool = False) -> list[str]:
    """Measure the cells that `asked` names; a line of each.

    Raises UserError, or StageFailed with what failed.
    """
    jobs = chosen(jobs_of(work), asked)
    measured = work.run.root.parent / MEASURED
    # Not the stage's folder, which a whole evaluation may be working in.
    logs = measured / "jobs" / f"{platform.node()}-{os.getpid()}"
    measuring = Measuring(work, rows_of_tasks(work), logs)
    if dry_run:
        return list(_planned(measuring, jobs))
    with writable(measured):
        found = measuring.measure(jobs)
    remove(logs)  # a failure leaves them
    return [
        f"{variant}/{task}: {len(samples):,} samples are kept"
        for variant, tasks in found.items()
        for task, samples in tasks.items()
    ]


def _planned(measuring: Measuring, jobs: Sequence[Job]) -> Iterator[str]:
    for job in jobs:
        for cell in job.cells:
            missing = measuring.missing(cell)
            yield f"{job.variant.name}/{cell.task}: {missing:,} samples would be measured"


def chosen(jobs: Sequence[Job], asked: Sequence[str]) -> list[Job]:
    """The jobs of the cells that `asked` names as VARIANT or VARIANT/TASK.

    Raises UserError with all names that are no cell's.
    """
    cells = [(job.variant.name, cell.task) for job in jobs for cell in job.cells]
    known = list(dict.fromkeys(name for cell in cells for name in (cell[0], "/".join(cell))))
    if problems := [_unknown(name, known) for name in asked if name not in known]:
        raise UserError(problems)

    def is_asked(variant: str, task: str) -> bool:
        return variant in asked or f"{variant}/{task}" in asked

    kept = [
        job.model_copy(
            update={"cells": [cell for cell in job.cells if is_asked(job.variant.name, cell.task)]}
        )
        for job in jobs
    ]
    return [job for job in kept if job.cells]


def _unknown(name: str, known: Sequence[str]) -> Problem:
    found = f"`{name}` is no variant, and no variant's task, of this recipe"
    variants = ", ".join(one for one in known if "/" not in one)
    return Problem("--only", found, f"one of {variants}, or VARIANT/TASK", nearest(name, known))
