"""The cost of evaluating again: a further task, and nothing new, over ten variants.

`python -m bench.evaluation [ROWS] [WARM_ROWS]`, 300 and 10,000 by default.

Ten real variants of a random model with 256 hidden units (three folders of safetensors, seven GGUF
files) are evaluated on ROWS questions; then pairs are added, and in a copy of the run where nothing
is kept the pairs are evaluated alone: both must cost the same. Then all is evaluated again with
nothing new, on WARM_ROWS questions and as many pairs. For that last figure one GGUF is measured,
and its samples stand for those of the other nine: reading and scoring does not care whose they are.
Seconds by the clock, and of CPU (this process and its workers), which other work disturbs less.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.conditions import conditions, processor, sentence
from eval.cells import jobs_of
from eval.only import measure_only
from eval.run import run
from stemma.recipe.sections import GGUF_TYPES
from stemma.runs import Run
from stemma.stages import Work
from stemma.table import markdown
from tests.factories.run_to_score import make_recipe, make_work

VARIANTS = ["base", "sft", "merged", *(f"gguf-{name}" for name in GGUF_TYPES)]
MCQ = {"task": "mcq"}
PAIRS = {"task": "preference"}


@dataclass(frozen=True)
class Spent:
    """Seconds of one evaluation."""

    clock: float
    cpu: float

    def row(self, what: str) -> tuple[str, str, str]:
        return what, f"{self.clock:.1f}", f"{self.cpu:.1f}"


def spent(doing: Callable[[], object]) -> Spent:
    """What it takes to do it, workers included."""
    clock, cpu = time.perf_counter(), _cpu_seconds()
    doing()
    return Spent(time.perf_counter() - clock, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def asked(work: Work, tasks: Sequence[dict[str, str]], variants: Sequence[str] = VARIANTS) -> Work:
    """The same run, asked for these tasks."""
    recipe = make_recipe(list(variants), list(tasks), reference="base")
    return replace(work, recipe=recipe, say=lambda text: print(text, file=sys.stderr, flush=True))


def added(folder: Path, rows: int) -> list[tuple[str, str, str]]:
    """Ten variants on questions; pairs added; pairs alone."""
    recipe = make_recipe(VARIANTS, [MCQ, PAIRS], reference="base")
    work = make_work(folder / "first", recipe, rows, hidden=256, layers=1)
    fresh = folder / "alone" / work.run.root.name
    shutil.copytree(work.run.root, fresh)
    first = spent(lambda: run(asked(work, [MCQ])))
    both = spent(lambda: run(asked(work, [MCQ, PAIRS])))
    alone = spent(lambda: run(asked(replace(work, run=Run(fresh)), [PAIRS])))
    return [
        first.row(f"ten variants, {rows:,} questions, nothing kept"),
        both.row(f"{rows:,} pairs added"),
        alone.row(f"{rows:,} pairs alone, nothing kept"),
        ("added against alone", f"{both.clock / alone.clock:.2f}", f"{both.cpu / alone.cpu:.2f}"),
    ]


def warm(folder: Path, rows: int) -> list[tuple[str, str, str]]:
    """One GGUF measured; then all ten variants, of which everything is kept."""
    recipe = make_recipe(VARIANTS, [MCQ, PAIRS], reference="base")
    work = asked(make_work(folder / "warm", recipe, rows, hidden=256, layers=1), [MCQ, PAIRS])
    measured = spent(lambda: measure_only(work, ["gguf-F16"]))
    jobs = jobs_of(work)
    donor = next(job for job in jobs if job.variant.name == "gguf-F16")
    for job in (job for job in jobs if job != donor):
        for cell, source in zip(job.cells, donor.cells, strict=True):
            shutil.copytree(source.folder, cell.folder, dirs_exist_ok=True)
    again = spent(lambda: run(work))
    return [
        measured.row(f"gguf-F16 alone, {rows:,} questions and as many pairs, nothing kept"),
        again.row(f"ten variants, {rows:,} questions and as many pairs, all kept"),
    ]


def main() -> None:
    rows, warm_rows = map(int, sys.argv[1:3] or ("300", "10000"))
    with tempfile.TemporaryDirectory() as folder:
        found = [*added(Path(folder), rows), *warm(Path(folder), warm_rows)]
    print("\n".join(markdown(("evaluation", "s", "CPU s"), found)))
    sizes = f"n = {rows:,} and {warm_rows:,} rows, one run, seeds 0 to 2"
    print(sentence(conditions("python -m bench.evaluation", processor(), sizes)))


if __name__ == "__main__":
    main()
