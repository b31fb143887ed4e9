"""Some cells of an evaluation alone: `stemma eval RECIPE --only gguf-Q4_K_M --only base/mcq`.

An arm is a cell like any other: `gguf-Q4_K_M+retrieved/mcq`. Its rows are made, or read, first.

Several processes, on several machines over a shared folder, may each measure some cells at the same
time. No score is made and no manifest written: a later `stemma eval` takes all that is kept, by
content, and measures only what nobody has. Benchmarks are cells too: `base/lm_eval/sciq`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from eval.cells import MEASURED, jobs_of
from eval.harness.job import BenchmarkJob
from eval.harness.run import benchmark_jobs, measure, missing_of
from eval.job import Job
from eval.measuring import Measuring
from eval.retrieval import ArmRows, arm_rows
from eval.retriever import open_retrieval
from eval.rows_to_score import rows_of_tasks
from stemma.errors import Problem, UserError, nearest
from stemma.files import remove
from stemma.recipe.eval_arms import answers_in_arms, has_arms, split_arm, with_arm
from stemma.recipe.eval_tasks import BENCHMARK
from stemma.stages import Work
from stemma.workplace import writable


def measure_only(work: Work, asked: Sequence[str], dry_run: bool = False) -> list[str]:
    """Measure the cells that `asked` names; a line of each.

    Raises UserError, or StageFailed with what failed.
    """
    benchmarks = benchmark_jobs(work, work.recipe.eval.local)
    refuse_unknown([*known_cells(work), *_benchmark_cells(benchmarks)], asked)
    arms = _rows_in_arms(work, asked)
    jobs = chosen(jobs_of(work, arms.files), asked)
    _refuse_rowless(jobs, asked)
    benchmarks = chosen_benchmarks(benchmarks, asked)
    measured = work.run.root.parent / MEASURED
    # Not the stage's folder, which a whole evaluation may be working in.
    logs = measured / "jobs" / f"{platform.node()}-{os.getpid()}"
    measuring = Measuring(work, arms.rows, logs)
    if dry_run:
        return [*_planned(measuring, jobs), *_planned_benchmarks(work, benchmarks)]
    with writable(measured):
        found = measuring.measure(jobs)
        measure(work, benchmarks, logs)
    remove(logs)  # a failure leaves them
    lines = [
        f"{variant}/{task}: {len(samples):,} samples are kept"
        for variant, tasks in found.items()
        for task, samples in tasks.items()
    ]
    return [*lines, *(f"{'/'.join(cell)}: is kept" for cell in _benchmark_cells(benchmarks))]


def _rows_in_arms(work: Work, asked: Sequence[str]) -> ArmRows:
    """The rows of every task; of arms only where one is asked for, as these need a database."""
    rows = rows_of_tasks(work)
    if not has_arms(name.partition("/")[0] for name in asked):
        return ArmRows(closed=rows)
    with writable(work.run.root.parent / MEASURED):
        return arm_rows(work, rows, open_retrieval(work))


def known_cells(work: Work) -> list[tuple[str, str]]:
    """Every cell that may be asked for, those in arms too, before their rows are made."""
    arms = {split_arm(name)[1] for name in work.recipe.eval.variants}
    tasks = [one.task for one in work.recipe.eval.tasks]
    files = {
        with_arm(task, arm): Path()
        for arm in arms
        for task in tasks
        if arm and answers_in_arms(task, arm)
    }
    return _cells(jobs_of(work, files))


def _refuse_rowless(jobs: Sequence[Job], asked: Sequence[str]) -> None:
    """Raises UserError for cells of the arm `gold` whose task has no row with its own passage."""
    there = {name for cell in _cells(jobs) for name in (cell[0], "/".join(cell))}
    arms = [name for name in asked if has_arms([name.partition("/")[0]])]
    found = "no row of this task names a passage of its own"
    expected = "a task whose rows do, or another arm"
    if problems := [
        Problem("--only", f"`{name}`: {found}", expected) for name in arms if name not in there
    ]:
        raise UserError(problems)


def _planned(measuring: Measuring, jobs: Sequence[Job]) -> Iterator[str]:
    for job in jobs:
        for cell in job.cells:
            missing = measuring.missing(cell)
            yield f"{job.variant.name}/{cell.task}: {missing:,} samples would be measured"


def _planned_benchmarks(work: Work, jobs: Mapping[str, BenchmarkJob]) -> Iterator[str]:
    for variant, job in jobs.items():
        missing = missing_of(work, job)
        for one in job.wanted:
            what = "would be measured" if one.name in missing else "is kept"
            yield f"{variant}/{BENCHMARK}{one.name}: {what}"


def _cells(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    return [(job.variant.name, cell.task) for job in jobs for cell in job.cells]


def _benchmark_cells(jobs: Mapping[str, BenchmarkJob]) -> list[tuple[str, str]]:
    return [(name, BENCHMARK + one.name) for name, job in jobs.items() for one in job.wanted]


def refuse_unknown(cells: Sequence[tuple[str, str]], asked: Sequence[str]) -> None:
    """Raises UserError with all names that are no cell's: VARIANT, VARIANT/TASK, or
    VARIANT/lm_eval/BENCHMARK."""
    known = list(dict.fromkeys(name for cell in cells for name in (cell[0], "/".join(cell))))
    if problems := [_unknown(name, known) for name in asked if name not in known]:
        raise UserError(problems)


def _is_asked(asked: Sequence[str], variant: str, task: str) -> bool:
    return variant in asked or f"{variant}/{task}" in asked


def chosen(jobs: Sequence[Job], asked: Sequence[str]) -> list[Job]:
    """The jobs of the cells that `asked` names as VARIANT or VARIANT/TASK."""
    kept = [
        job.model_copy(
            update={
                "cells": [one for one in job.cells if _is_asked(asked, job.variant.name, one.task)]
            }
        )
        for job in jobs
    ]
    return [job for job in kept if job.cells]


def chosen_benchmarks(
    jobs: Mapping[str, BenchmarkJob], asked: Sequence[str]
) -> dict[str, BenchmarkJob]:
    """The jobs of the benchmarks that `asked` names as VARIANT or VARIANT/lm_eval/BENCHMARK."""
    kept = {
        variant: job.model_copy(
            update={
                "wanted": [
                    one for one in job.wanted if _is_asked(asked, variant, BENCHMARK + one.name)
                ]
            }
        )
        for variant, job in jobs.items()
    }
    return {variant: job for variant, job in kept.items() if job.wanted}


def _unknown(name: str, known: Sequence[str]) -> Problem:
    found = f"`{name}` is no variant, and no variant's task, of this recipe"
    variants = ", ".join(one for one in known if "/" not in one)
    return Problem("--only", found, f"one of {variants}, or VARIANT/TASK", nearest(name, known))
