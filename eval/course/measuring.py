"""Measuring of a variant on rows that no stage made, by the evaluation's own tasks and engines.

Samples are kept beside the run folders like all of the evaluation's, by the content of their row:
a killed grading goes on where it stopped, and what two lines or two files share is measured once.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from eval.backends import open_backend
from eval.cells import MEASURED, cell_of, decisive, variant_of
from eval.job import Cell, Records, Variant
from eval.measured import describe, keeping, read_kept
from eval.measuring import stamps_of
from eval.rows_to_score import DIGITS
from eval.task import Setting
from eval.tasks import TASKS
from eval.unchanged import Stamps
from eval.worker import WINDOW, self_test
from stemma.digests import digest_json
from stemma.progress import phase, show
from stemma.recipe.eval_tasks import EvalTask
from stemma.rows import McqRow, PreferenceRow
from stemma.stages import Work
from stemma.templates import Template

Rows = Sequence[McqRow] | Sequence[PreferenceRow]
Asked = Mapping[str, tuple[EvalTask, Rows]]
"""By task: its options, and the rows to measure."""
OWN = {"id", "question_id", "source", "subject", "meta"}
"""Fields of a row that no model reads: rows that differ in nothing else are measured once."""


def measure(
    work: Work, name: str, asked: Mapping[str, tuple[EvalTask, Rows]]
) -> dict[str, Records]:
    """The samples of one variant by task, in the order of the rows.

    Raises UserError for weights that are not those of their manifest, StageFailed where an engine
    fails.
    """
    variant = variant_of(work, name)
    cells = {task: _cell(work, variant, options) for task, (options, _) in asked.items()}
    kept = {task: _kept(cell) for task, cell in cells.items()}
    late: dict[str, list[Any]] = {}
    for task, (_, rows) in asked.items():
        # Of rows that are alike one.
        missing = {content(row): row for row in rows if content(row) not in kept[task]}
        if missing:
            late[task] = list(missing.values())
    if late:
        told = ", ".join(f"{task} {len(rows):,} rows" for task, rows in late.items())
        phase(work.say, f"course: measuring {name}: {told}")
        _measure(variant, cells, late, stamps_of(work, variant))
        kept = {task: _kept(cell) for task, cell in cells.items()}
    else:
        phase(work.say, f"course: {name} was measured before, kept")
    return {
        task: [_of(kept[task][content(row)], row) for row in rows]
        for task, (_, rows) in asked.items()
    }


def content(row: McqRow | PreferenceRow) -> str:
    """The digest of all of a row that a model reads, and of its right answer."""
    return digest_json(row.model_dump(mode="json", exclude=OWN))[:DIGITS]


def _of(sample: dict[str, Any], row: McqRow | PreferenceRow) -> dict[str, Any]:
    """A sample as the row's own: it may have been measured under another's id."""
    names = {"id", "question_id", "subject"} & sample.keys()
    return sample | row.model_dump(include=names)


def _cell(work: Work, variant: Variant, options: EvalTask) -> Cell:
    return cell_of(variant, options, work.run.root.parent / MEASURED, None)


def _kept(cell: Cell) -> dict[str, dict[str, Any]]:
    return read_kept(Path(cell.folder), TASKS[cell.task].sample.model_fields)


def _measure(
    variant: Variant, cells: Mapping[str, Cell], late: Mapping[str, list[Any]], stamps: Stamps
) -> None:
    template = Template(variant.template, variant.bos, variant.eos)
    begin = perf_counter()
    backend = open_backend(variant.kind, variant.weights, template.stop(), variant.threads)
    load_seconds = perf_counter() - begin
    self_test(backend, template, variant.name)
    total = sum(map(len, late.values()))
    done = 0
    for task, rows in late.items():
        cell = cells[task]
        folder = Path(cell.folder)
        describe(folder, decisive(variant, cell.options))
        digests = {row.id: content(row) for row in rows}
        with keeping(folder, stamps) as keeper:
            for at in range(0, len(rows), WINDOW):
                some = rows[at : at + WINDOW]
                weights = Path(variant.weights)
                setting = Setting(template, cell.options, some, weights, load_seconds)
                for sample in TASKS[task].measure(backend, setting):
                    keeper.keep(digests[sample.id], sample.model_dump(mode="json"))
                    done += 1
                    show(f"measuring {variant.name}", done, total, "rows", task)
    # The next variant is loaded when this one is gone.
    del backend
    gc.collect()
