"""Measures a served variant in a process of its own: `python -m eval.servers.worker job.json`.

Each sample is kept as soon as its replies are there, so a server or worker that dies in the middle
loses at most what is in flight.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any, NamedTuple

from eval.how_far import NOBODY, RowsTold, told_in
from eval.job import Cell, Job, Variant
from eval.measured import Keeper, keeping, read_kept
from eval.rows_to_score import read_task
from eval.servers.client import asking, connected
from eval.servers.ready import form
from eval.servers.self_test import Form
from eval.servers.tasks import MEASURES, Served
from eval.tasks import TASKS
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_json
from stemma.recipe.eval_servers import NEED_LOG_PROBS
from stemma.templates import Template

WINDOW = 512
"""Rows that are asked at a time: their texts' tokens lie in memory until all are there, some 150
KB for a question of four choices."""


def main(job_path: str) -> None:
    """Measure the rows of the job's cells that are not kept yet."""
    job = Job.model_validate(read_json(Path(job_path)))
    asyncio.run(_measure_all(job, RowsTold(told_in(Path(job_path)))))


async def _measure_all(job: Job, told: RowsTold) -> None:
    variant = job.variant
    found = None
    if any(cell.task in NEED_LOG_PROBS for cell in job.cells):
        found = await _form(variant)
    for cell in job.cells:
        try:
            await measure(variant, cell, found, told)
        except StageFailed as error:
            raise StageFailed(f"eval: {variant.name}/{cell.task}: {error}") from None


async def _form(variant: Variant) -> Form:
    assert variant.server
    async with connected(variant.server) as client:
        try:
            return await form(variant.name, variant.server, client, template_of(variant))
        except StageFailed as error:
            raise StageFailed(f"eval: {variant.name}: {error}") from None


def template_of(variant: Variant) -> Template:
    return Template(variant.template, variant.bos, variant.eos)


async def measure(
    variant: Variant, cell: Cell, found: Form | None, told: RowsTold = NOBODY
) -> None:
    """Measure what is not kept of a cell, and keep it. Raises StageFailed or UserError; what was
    found before is kept, and the error is not."""
    task, folder = TASKS[cell.task], Path(cell.folder)
    rows = read_task(task, cell.task, Path(cell.data) if cell.data else None, cell.limit)
    kept = read_kept(folder, task.sample.model_fields)
    missing = [row for row in rows.rows if rows.digests[row.id] not in kept]
    assert variant.server
    with keeping(folder) as keeper:
        for begin in range(0, len(missing), WINDOW):
            async with asking(variant.name, variant.server) as asked:
                served = Served(asked, found, template_of(variant), cell.options)
                window = missing[begin : begin + WINDOW]
                await asked.finish(
                    _one(served, row, Kept(keeper, rows.digests[row.id], told)) for row in window
                )


class Kept(NamedTuple):
    """Where a row's sample goes, under which digest, and who is told."""

    keeper: Keeper
    digest: str
    told: RowsTold


async def _one(served: Served, row: Any, kept: Kept) -> None:
    task = served.options.task
    try:
        sample = await MEASURES[task](served, row)
    except StageFailed as error:
        raise StageFailed(f"row {row.id}: {error}") from None
    kept.keeper.keep(kept.digest, sample.model_dump(mode="json"))
    kept.told.one_more(task)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (StageFailed, UserError) as error:
        sys.exit(str(error))
