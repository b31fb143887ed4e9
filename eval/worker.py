"""Measures one variant in a process of its own: `python -m eval.worker job.json`. Its findings
appear whole or not."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from eval.backends import open_backend
from eval.backends.interface import Backend, ScoreRequest
from eval.job import Findings, Job, Samples
from eval.task import Setting
from eval.tasks import TASKS
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_json, write_json
from stemma.templates import Template, answered


def main(job_path: str) -> None:
    """Measure what the job asks for, and write what was found to its `out`."""
    job = Job.model_validate(read_json(Path(job_path)))
    template = Template(job.template, job.bos, job.eos)
    begin = perf_counter()
    backend = open_backend(job.kind, job.weights, template.stop(), job.threads)
    load_seconds = perf_counter() - begin
    self_test(backend, template, job.variant)
    samples: Samples = {}
    # The process's peak memory is then that of loading and answering, not of scoring in batches.
    for options in sorted(job.tasks, key=lambda one: not TASKS[one.task].measures_process):
        task = TASKS[options.task]
        rows: list[Any] = []
        if task.rows:
            rows, _ = task.rows.read(Path(job.data[options.task]), options.limit)
        setting = Setting(template, options, rows, Path(job.weights), load_seconds)
        found = task.measure(backend, setting)
        samples[options.task] = [sample.model_dump() for sample in found]
    write_json(Path(job.out), Findings(key=job.key, samples=samples).model_dump())


def self_test(backend: Backend, template: Template, variant: str) -> None:
    """Before any score: one BOS, a whole distribution, and the three ways of asking agree. Raises
    StageFailed."""
    prompt_text, answer_text = template.split(answered("What is 2 + 2?", "4"))
    prompt, answer = backend.tokenize(prompt_text), backend.tokenize(answer_text)
    bos = backend.tokenize(template.first)  # none where the template writes none
    first = backend.next_log_probs(prompt)
    likeliest = int(first.argmax())
    # The third request is longer, so that in a batch the first two are padded.
    requests = [
        ScoreRequest(prompt, [[likeliest]]),
        ScoreRequest(prompt, [answer]),
        ScoreRequest(prompt + answer, [prompt]),
    ]
    single, pair, _ = backend.log_probs(requests)
    begun = backend.extend(prompt, 1)[0]
    failures = {
        "the prompt does not begin with exactly one BOS": bos != [] and prompt.count(bos[0]) != 1,
        "the answer does not end with the stop token": not backend.is_stop(answer[-1]),
        "log-probabilities are not finite": not np.isfinite([*first, *pair[0]]).all(),
        "the next token's probabilities do not sum to 1": abs(float(np.exp(first).sum()) - 1)
        > 1e-2,
        "a batch scores a token differently from a single call": abs(
            single[0][0] - float(first[likeliest])
        )
        > 0.1,
        # Within rounding: two engines' kernels for one and for many tokens may swap near-equal
        # tokens.
        "decoding does not begin with the likeliest token": float(first[likeliest] - first[begun])
        > 0.1,
    }
    broken = [what for what, failed in failures.items() if failed]
    if broken:
        raise StageFailed(f"eval: {variant} fails its self-test: {'; '.join(broken)}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (StageFailed, UserError) as error:
        sys.exit(str(error))
