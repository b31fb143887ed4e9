"""Benchmarks on our engine against lm-evaluation-harness's own `hf` model: questions a second, and
whether the answers are the same.

Run `python -m bench.harness MODEL DATA [--questions 200] [--generations 50] [--batch 1 8]`.

MODEL is a folder of safetensors, DATA holds what `recipes/tasks` read. Every contestant answers the
same requests in one process, task by task; seconds are CPU seconds of all threads, so that other
work on the machine changes them little. `hf` runs at each batch size given: 1 is its default.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

from bench.conditions import conditions, sentence
from eval.harness.hf import HfEngine
from eval.harness.job import BenchmarkJob, WantedBenchmark
from eval.harness.lm import EngineLM
from eval.harness.tasks import Tasks, leaves, load
from eval.job import Variant
from stemma import ROOT
from stemma.recipe.evaluation import Benchmarks
from stemma.templates import Template, special_tokens


@dataclass(frozen=True)
class Question:
    """One table row's task: its name, and the worked examples before each question."""

    task: str
    shots: int | None
    generates: bool = False


QUESTIONS = (
    Question("local_mmlu_stem", 0),
    Question("local_mmlu_stem", 5),
    Question("local_arc_challenge", 0),
    Question("local_sciq_closed_book", 0),
    Question("local_gsm8k", None, generates=True),
)


@dataclass(frozen=True)
class Answered:
    """What a contestant said to each question, and the CPU seconds it took."""

    metrics: list[dict[str, Any]]
    said: list[Any]
    seconds: float


def ask(lm: Any, manager: Tasks, question: Question, limit: int) -> Answered:
    """All requests of a task, through the harness itself."""
    from lm_eval.evaluator import evaluate

    tasks = load(manager, question.task, question.shots)
    begin = process_time()
    found = evaluate(lm=lm, task_dict=tasks, limit=limit, bootstrap_iters=0)
    seconds = process_time() - begin
    rows = [row for name in leaves(tasks) for row in found["samples"][name]]
    metrics = [{name: row[name] for name in row["metrics"]} for row in rows]
    return Answered(metrics, [row["resps"] for row in rows], seconds)


def lines(arguments: argparse.Namespace) -> Iterator[str]:
    """The table, line by line."""
    from lm_eval.models.huggingface import HFLM

    job = _job(arguments)
    variant = job.variant
    template = Template(variant.template, variant.bos, variant.eos)
    engine = HfEngine(variant.weights, template.stop(), arguments.threads)
    theirs = {
        size: HFLM(pretrained=variant.weights, device="cpu", batch_size=size)
        for size in arguments.batch
    }
    manager = Tasks(job)
    yield (
        "| task | shots | questions | ours, q/s | "
        + " | ".join(f"`hf` batch {size}, q/s | ratio | same answers" for size in theirs)
        + " |"
    )
    yield "|---" * (4 + 3 * len(theirs)) + "|"
    for question in QUESTIONS:
        if arguments.tasks and question.task not in arguments.tasks:
            continue
        limit = arguments.generations if question.generates else arguments.questions
        mine = ask(EngineLM(engine, template), manager, question, limit)
        cells = [question.task, question.shots, limit, f"{limit / mine.seconds:.2f}"]
        for other in theirs.values():
            found = ask(other, manager, question, limit)
            cells += [f"{limit / found.seconds:.2f}", f"{found.seconds / mine.seconds:.1f}"]
            cells += [agreement(mine, found)]
        yield (
            "| " + " | ".join("as the task" if cell is None else str(cell) for cell in cells) + " |"
        )


def agreement(mine: Answered, theirs: Answered) -> str:
    """Rows whose metrics are equal; of texts also those that are equal to the letter."""
    pairs = list(zip(mine.metrics, theirs.metrics, strict=True))
    same = f"{sum(a == b for a, b in pairs)} of {len(pairs)}"
    if not isinstance(mine.said[0][0][0], str):
        apart = max(
            abs(float(a[0][0]) - float(b[0][0]))
            for one, other in zip(mine.said, theirs.said, strict=True)
            for a, b in zip(one, other, strict=True)
        )
        return f"{same}; log-probs within {apart:.0e}"
    texts = sum(a == b for a, b in zip(mine.said, theirs.said, strict=True))
    return f"{same}; {texts} texts to the letter"


def _job(arguments: argparse.Namespace) -> BenchmarkJob:
    folder = arguments.model
    bos, eos = special_tokens(folder)
    template = Template.read(ROOT / "recipes" / "templates" / arguments.template, folder)
    variant = Variant(
        name="bench",
        kind="hf",
        weights=str(folder),
        digest="",
        made_by=None,
        template=template.text,
        bos=bos,
        eos=eos,
        threads=arguments.threads,
    )
    return BenchmarkJob(
        variant=variant,
        tokenizer=str(folder),
        settings=Benchmarks(tasks=["local_gsm8k"]),
        wanted=[WantedBenchmark(name="local_gsm8k", key="", out="")],
        folders=[str(ROOT / "recipes" / "tasks")],
        root=str(arguments.data.absolute()),
        tables=tempfile.mkdtemp(prefix="stemma-bench-"),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--generations", type=int, default=50)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--template", default="qa.jinja")
    arguments = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"
    for line in lines(arguments):
        print(line, flush=True)
    command = f"python -m bench.harness {arguments.model} {arguments.data}"
    sizes = f"{arguments.threads} thread(s); no seed but the harness's own; greedy"
    print("\n" + sentence(conditions(command, "CPU", sizes)))


if __name__ == "__main__":
    main()
