"""The cost of evaluating again: a further task, and nothing new, over ten variants.

`python -m bench.evaluation added [ROWS]`: ten real variants of a random model with 256 hidden units
(three folders of safetensors, seven GGUF files) are evaluated on questions; then pairs are added;
and in a copy of the run where nothing is kept the pairs are evaluated alone: both must cost the
same.

`python -m bench.evaluation warm [ROWS]`: ten variants of which all samples are kept are evaluated
again. The samples are invented, since such an evaluation neither loads a model nor measures.

Seconds by the clock, and of CPU (this process and its workers), which other work disturbs less.
"""

from __future__ import annotations

import random
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
from eval.job import Cell
from eval.letters import McqSample
from eval.measured import keeping
from eval.rows_to_score import RowsToScore, rows_of_tasks
from eval.run import run
from eval.task import MeasuredRow
from eval.tasks.preference import PreferenceSample
from stemma.recipe.sections import GGUF_TYPES
from stemma.runs import Run
from stemma.stages import Work
from stemma.table import markdown
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe, make_work

SEED = 42
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
    """Ten variants of which everything is kept."""
    work = asked(_unmeasured(folder, rows), [MCQ, PAIRS])
    found = rows_of_tasks(work)
    chance = random.Random(SEED)
    for job in jobs_of(work):
        for cell in job.cells:
            _invent(cell, found[cell.task], chance)
    again = spent(lambda: run(work))
    return [again.row(f"ten variants, {rows:,} questions and as many pairs, all kept")]


def _unmeasured(folder: Path, rows: int) -> Work:
    """A run whose weights are a few bytes each: what is kept is never loaded."""
    work = make_work(folder / "warm", make_recipe(["base"], [MCQ], reference="base"), rows)
    export = work.run.folder("export")
    outputs = {"merged": "merged"} | {name: name for name in VARIANTS if name.startswith("gguf-")}
    for name in [*outputs][1:]:
        (export / name).write_text(name, encoding="utf-8")
    write_manifest(work.run, "export", outputs)
    shutil.copytree(work.run.folder("base"), work.run.folder("sft"), dirs_exist_ok=True)
    (work.run.folder("sft") / "merged/sft").touch()
    write_manifest(work.run, "sft", {"merged": "merged"})
    return work


def _invent(cell: Cell, rows: RowsToScore, chance: random.Random) -> None:
    """Samples of a cell in their true form; variants differ by a little noise."""
    same = random.Random(SEED)

    def figure(scale: float) -> float:
        return -scale * same.random() + chance.gauss(0, 0.15)

    with keeping(Path(cell.folder)) as keeper:
        for row in rows.rows:
            sample: MeasuredRow
            if cell.task == "mcq":
                sample = McqSample(
                    id=row.id,
                    ids_digest="0" * 16,
                    subject=row.subject,
                    answer=row.answer,
                    choices=row.choices,
                    log_probs={letter: figure(5) for letter in "ABCD"},
                )
            else:
                sample = PreferenceSample(
                    id=row.id,
                    ids_digest="0" * 16,
                    question_id=row.question_id,
                    chosen_log_prob=figure(50),
                    rejected_log_prob=figure(50),
                    chosen_tokens=same.randrange(20, 90),
                    rejected_tokens=same.randrange(20, 90),
                )
            keeper.keep(rows.digests[row.id], sample.model_dump(mode="json"))


PARTS = {"added": (added, 300), "warm": (warm, 10_000)}
"""By name: what is measured, and on how many rows."""


def main() -> None:
    part = sys.argv[1] if len(sys.argv) > 1 else "added"
    measure, usual = PARTS[part]
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else usual
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), rows)
    print("\n".join(markdown(("evaluation", "s", "CPU s"), found)))
    command = f"python -m bench.evaluation {part} {rows}"
    print(sentence(conditions(command, processor(), f"one run, seed {SEED}")))


if __name__ == "__main__":
    main()
