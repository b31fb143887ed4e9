"""Measuring: a worker for each variant of which something is not kept yet.

Samples are kept beside the run folders as they are found. So a killed evaluation goes on where it
stopped, a further task or a larger `limit` measures what is new alone, and what another recipe or
another machine on the same folder has measured is taken from it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.cells import decisive
from eval.how_far import HowFar, told_in
from eval.job import Cell, Job, Measured, Records, Samples, Variant
from eval.measured import RENEWED, Kept, count_altered, describe, read_kept
from eval.rows_to_score import RowsToScore
from eval.tasks import TASKS
from eval.unchanged import Stamps, stamps_of_weights
from stemma.errors import Problem, StageFailed, UserError
from stemma.files import remove
from stemma.identity import model_digest
from stemma.jsonl import write_json
from stemma.known_digests import differing
from stemma.processes import child_environment, last_lines, run_logged
from stemma.progress import phase
from stemma.stages import Work


@dataclass(frozen=True)
class Measuring:
    """The measuring of a recipe's jobs, by rows that are read already."""

    work: Work
    rows: Mapping[str, RowsToScore]
    """By `Cell.rows`: of each task, and of each task in each arm."""
    logs: Path
    """The folder for each worker's job and log."""
    how_far: HowFar = field(default_factory=HowFar)

    def measure(self, jobs: Sequence[Job]) -> Measured:
        """All samples by variant and task, in the order of the rows.

        What is kept is read, the rest measured. Raises StageFailed with what failed, of every
        variant: one that is broken does not keep the others from being measured.
        """
        measured: Measured = {}
        failures = []
        self.how_far.plan({job.variant.name: sum(map(self.missing, job.cells)) for job in jobs})
        renewed: set[str] = set()  # by folder: variants with the same weights share one
        for job in jobs:
            try:
                self.how_far.begin(job.variant.name)
                if self.work.force:
                    self._renew(job, renewed)
                measured[job.variant.name] = self._samples(job)
            except StageFailed as error:
                failures.append(str(error))
        if failures:
            raise StageFailed("\n".join(failures))
        return measured

    def missing(self, cell: Cell) -> int:
        """The number of rows of a cell that would be measured."""
        return self._missing(cell, {} if self.work.force else self._kept(cell))

    def _samples(self, job: Job) -> Samples:
        """The samples of a job's cells: those that are kept, and the rest measured."""
        found = {cell.task: self._kept(cell) for cell in job.cells}
        if late := [cell for cell in job.cells if self._missing(cell, found[cell.task])]:
            self._tell_altered(late)
            self._run_worker(job, late, found)
            found |= {cell.task: self._kept(cell) for cell in late}
        else:
            phase(self.work.say, f"eval: {job.variant.name} was measured before, kept")
        return {cell.task: self._ordered(job.variant, cell, found[cell.task]) for cell in job.cells}

    def _renew(self, job: Job, renewed: set[str]) -> None:
        """Measure all of a job's cells in folders beside theirs, then put these in their place.

        What was kept stays until the new is whole.
        """
        old = [cell for cell in job.cells if cell.folder not in renewed]
        new = [cell.model_copy(update={"folder": f"{cell.folder}{RENEWED}"}) for cell in old]
        for cell in new:
            remove(Path(cell.folder))  # of an earlier run that was killed
        if new:
            self._samples(job.model_copy(update={"cells": new}))
        for before, after in zip(old, new, strict=True):
            aside = Path(f"{before.folder}.old")
            remove(aside)
            if Path(before.folder).exists():
                Path(before.folder).rename(aside)
            Path(after.folder).rename(before.folder)
            remove(aside)
            renewed.add(before.folder)

    def _kept(self, cell: Cell) -> Kept:
        return read_kept(Path(cell.folder), TASKS[cell.task].sample.model_fields)

    def _missing(self, cell: Cell, kept: Kept) -> int:
        return sum(digest not in kept for digest in self.rows[cell.rows].digests.values())

    def _tell_altered(self, late: Sequence[Cell]) -> None:
        for cell in late:
            if count := count_altered(Path(cell.folder)):
                found = f"{count:,} samples kept in {cell.folder} are not as they were written"
                self.work.say(f"eval: {found}: they do not count")

    def _ordered(self, variant: Variant, cell: Cell, kept: Kept) -> Records:
        digests = self.rows[cell.rows].digests
        if lost := [row for row, digest in digests.items() if digest not in kept]:
            found = (
                f"{len(lost)} rows of {cell.task} are not in {cell.folder}: {', '.join(lost[:5])} "
                "(were the test rows changed meanwhile?)"
            )
            raise StageFailed(f"eval: {variant.name} was measured, but {found}")
        return [kept[digest] for digest in digests.values()]

    def _run_worker(self, job: Job, late: list[Cell], found: Mapping[str, Kept]) -> None:
        stamps = self._stamps(job, late)
        for cell in late:
            describe(Path(cell.folder), decisive(job.variant, cell.options))
        told = ", ".join(f"{cell.task} {self._progress(cell, found[cell.task])}" for cell in late)
        phase(self.work.say, f"eval: measuring {job.variant.name}: {told}")
        job_path = self.logs / f"{job.variant.name}.json"
        log_path = job_path.with_suffix(".log")
        write_json(job_path, job.model_copy(update={"cells": late, "stamps": stamps}).model_dump())
        worker = "eval.servers.worker" if job.variant.server else "eval.worker"
        command = [sys.executable, "-m", worker, str(job_path)]
        environment = child_environment() | {"OMP_NUM_THREADS": str(job.variant.threads)}
        hearing = self.how_far.hearing(told_in(job_path))
        code = run_logged(command, environment, log_path, hearing.look)
        hearing.forget()
        if code != 0:
            tail = last_lines(log_path.read_text(encoding="utf-8", errors="replace"))
            ended = f"measuring {job.variant.name} ended with code {code}"
            raise StageFailed(f"eval: {ended}; its log {log_path} ends:\n{tail}")

    def _progress(self, cell: Cell, kept: Kept) -> str:
        missing = self._missing(cell, kept)
        there = len(self.rows[cell.rows].digests) - missing
        return f"{missing:,} rows" + (f" ({there:,} are kept)" if there else "")

    def _stamps(self, job: Job, late: Sequence[Cell]) -> Stamps:
        """The stamps of the job's weights, whose content is what their samples are kept under.

        Raises UserError where weights or test rows are not those their manifest speaks of.
        """
        variant = job.variant
        data = self.work.run.manifest("data").outputs
        rows = {
            Path(cell.data): data[f"{source.data_set}/{Path(cell.data).stem}"].sha256
            for cell in late
            # Rows with passages are named by their content, and checked where they are read.
            if (source := TASKS[cell.task].rows) and cell.data and not cell.arm
        }
        changed = differing(rows, self.work.run.root.parent)
        problems = [_changed(path, "data", self.work.recipe.name) for path in changed]
        try:
            stamps = stamps_of(self.work, variant)
        except UserError as error:
            problems += error.problems
        if problems:
            raise UserError(problems)
        return stamps


def stamps_of(work: Work, variant: Variant) -> Stamps:
    """The stamps of a variant's weights, taken before their content is compared with the digest
    that samples are kept under; none of a server. Raises UserError where it is another."""
    if variant.kind == "server":
        return {}
    weights, runs = Path(variant.weights), work.run.root.parent
    stamps = stamps_of_weights(weights, made_here=variant.made_by is not None)
    if variant.made_by is None:
        if model_digest(weights, runs) != variant.digest:
            found = "its files changed since the evaluation began"
            raise UserError(Problem(str(weights), found, "a model that stays as it is"))
    elif differing({weights: variant.digest}, runs):
        raise UserError(_changed(weights, variant.made_by, work.recipe.name))
    return stamps


def _changed(path: Path, stage: str, recipe: str) -> Problem:
    again = f"`make {stage} RECIPE={recipe} FORCE=1` makes it anew"
    return Problem(
        str(path),
        "its sha256 is another",
        f"the one in the manifest of stage `{stage}`",
        f"it was changed by hand or by its disk: {again}",
    )
