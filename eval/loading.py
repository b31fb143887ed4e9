"""Load times of a variant, measured in a process of its own: `python -m eval.loading job.json`.

It loads the weights several times, each when the ones before are gone, and ends before the worker
loads them itself: two models never share the memory. The first load pays for the engine's import
and its lazy parts, and is not among those printed.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from time import perf_counter

from eval.backends import open_backend
from eval.job import Job, Variant
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_json
from stemma.processes import child_environment, last_lines, run_logged
from stemma.templates import Template

REPEATS = 5


def loaded_again(job_path: Path, variant: Variant) -> list[float]:
    """Seconds of REPEATS loads of the job's weights. Raises StageFailed with what failed."""
    log = job_path.with_suffix(".loading.log")
    environment = child_environment() | {"OMP_NUM_THREADS": str(variant.threads)}
    code = run_logged([sys.executable, "-m", "eval.loading", str(job_path)], environment, log)
    text = log.read_text(encoding="utf-8", errors="replace")
    if code != 0:
        raise StageFailed(f"eval: loading {variant.name} failed:\n{last_lines(text)}")
    seconds: list[float] = json.loads(text.strip().splitlines()[-1])
    return seconds


def main(job_path: str) -> None:
    """Load once, then REPEATS times; print the seconds of these as JSON."""
    variant = Job.model_validate(read_json(Path(job_path))).variant
    stop = Template(variant.template, variant.bos, variant.eos).stop()
    seconds = [_load(variant, stop) for _ in range(1 + REPEATS)]
    print(json.dumps(seconds[1:]), flush=True)


def _load(variant: Variant, stop: str) -> float:
    begin = perf_counter()
    backend = open_backend(variant.kind, variant.weights, stop, variant.threads)
    seconds = perf_counter() - begin
    del backend
    gc.collect()
    return seconds


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (StageFailed, UserError) as error:
        sys.exit(str(error))
