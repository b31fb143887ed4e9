"""Measures one variant in a process of its own: `python -m eval.worker job.json`.

Each sample is kept as soon as it is found, so a killed worker loses at most the batch in flight.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from eval.backends import open_backend
from eval.backends.interface import Backend, ScoreRequest
from eval.how_far import NOBODY, RowsTold, told_in
from eval.job import Cell, Job
from eval.loading import loaded_again
from eval.measured import keeping, read_kept
from eval.rows_to_score import read_task
from eval.task import Setting
from eval.tasks import TASKS
from eval.unchanged import Stamps
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_json
from stemma.templates import Template, answered

SMALLER = 16
"""How much smaller the batches of each further measurement are."""
WINDOW = 4096
"""Rows that lie in memory as tokens at once (some 100 MB of pairs of 300 tokens). A backend puts
rows of like length of one window together."""


def main(job_path: str) -> None:
    """Measure the rows of the job's cells that are not kept yet."""
    job = Job.model_validate(read_json(Path(job_path)))
    variant = job.variant
    template = Template(variant.template, variant.bos, variant.eos)
    is_timed = any(TASKS[cell.task].measures_process for cell in job.cells)
    again = loaded_again(Path(job_path), variant) if is_timed else []
    told = RowsTold(told_in(Path(job_path)))
    told.doing("loading")
    begin = perf_counter()
    backend = open_backend(
        variant.kind, variant.weights, template.stop(), variant.threads, SMALLER**variant.repeat
    )
    load_seconds = perf_counter() - begin
    self_test(backend, template, variant.name)
    # The process's peak memory is then that of loading and answering, not of scoring in batches.
    for cell in sorted(job.cells, key=lambda one: not TASKS[one.task].measures_process):
        setting: Setting[Any] = Setting(
            template, cell.options, [], Path(variant.weights), load_seconds, again
        )
        try:
            told.doing(cell.task)
            measure(backend, cell, setting, job.stamps, told)
        except StageFailed as error:
            raise StageFailed(f"eval: {variant.name}/{cell.task}: {error}") from None


def measure(
    backend: Backend,
    cell: Cell,
    setting: Setting[Any],
    stamps: Stamps | None = None,
    told: RowsTold = NOBODY,
) -> None:
    """Measure what is not kept of a cell, and keep it.

    Raises StageFailed for weights that are damaged, or no longer have these stamps; what was found
    before is kept, and the error is not.
    """
    task = TASKS[cell.task]
    folder = Path(cell.folder)
    rows = read_task(task, cell.task, Path(cell.data) if cell.data else None, cell.limit)
    kept = read_kept(folder, task.sample.model_fields)
    missing = [row for row in rows.rows if rows.digests[row.id] not in kept]
    windows = _windows(missing) if task.rows else [[]]
    with keeping(folder, stamps) as keeper:
        for window in windows:
            for sample in task.measure(backend, replace(setting, rows=window)):
                keeper.keep(rows.digests[sample.id], sample.model_dump(mode="json"))
                told.one_more(cell.task)


def _windows(rows: list[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(rows), WINDOW):
        yield rows[begin : begin + WINDOW]


def self_test(backend: Backend, template: Template, variant: str) -> None:
    """Before any score: one BOS, a whole distribution, and the three ways of asking agree. Raises
    StageFailed."""
    prompt_text, answer_text = template.split(answered("What is 2 + 2?", "4"))
    prompt, answer = backend.tokenize(prompt_text), backend.tokenize(answer_text)
    bos = backend.tokenize(template.first)  # none where the template writes none
    first = backend.next_log_probs(prompt)
    likeliest = int(first.argmax())
    further = backend.next_log_probs(prompt + answer)
    # The third request is longer, so that in a batch the first two are padded.
    requests = [
        ScoreRequest(prompt, [[likeliest]]),
        ScoreRequest(prompt, [answer]),
        ScoreRequest(prompt + answer, [prompt]),
    ]
    single, pair, _ = backend.log_probs(requests)
    is_finite = bool(np.isfinite([*first, *pair[0]]).all())
    # An engine refuses to decode by numbers that are none.
    begun = backend.generate([prompt], 1)[0][0] if is_finite else likeliest
    ends_at_once = backend.is_stop(begun) and backend.is_stop(likeliest)
    failures = {
        "the prompt does not begin with exactly one BOS": bos != [] and prompt.count(bos[0]) != 1,
        "the answer does not end with the stop token": not backend.is_stop(answer[-1]),
        "log-probabilities are not finite": not is_finite,
        "predictions do not depend on the text": bool((np.abs(further - first) < 1e-6).all()),
        "the next token's probabilities do not sum to 1": abs(float(np.exp(first).sum()) - 1)
        > 1e-2,
        "a batch scores a token differently from a single call": abs(
            single[0][0] - float(first[likeliest])
        )
        > 0.1,
        # Within rounding: two engines' kernels for one and for many tokens may swap near-equal
        # tokens.
        "decoding does not begin with the likeliest token": not ends_at_once
        and float(first[likeliest] - first[begun]) > 0.1,
    }
    broken = [what for what, failed in failures.items() if failed]
    if broken:
        raise StageFailed(f"eval: {variant} fails its self-test: {'; '.join(broken)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (StageFailed, UserError) as error:
        sys.exit(str(error))
