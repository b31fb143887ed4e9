"""Cloze scores against lm-evaluation-harness's own model and task machinery, on the same questions.

Run `python -m bench.cloze MODEL [questions] [GGUF]`; 100 questions of SciQ by default. MODEL is a
folder of safetensors; with GGUF the same questions are scored by llama.cpp too. `STEMMA_DATA` names
the folder with `sciq/sft_sciq_with_support.first2000.jsonl`.

Each question is asked closed-book and with its support before it, as plain text (`qa.jinja` without
a first token), which a task file of the harness can say to the letter. The harness loads, renders,
tokenises and scores by itself (its `hf` model, float32); its `acc` and `acc_norm` stand beside our
`accuracy` and `normalised_accuracy`.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.conditions import conditions, processor, sentence
from bench.retrieval_arms import SEED, STOP, TEMPLATES, questions
from eval.backends import open_backend
from eval.letters import McqSample
from eval.task import Setting
from eval.tasks import TASKS
from stemma.jsonl import write_jsonl
from stemma.recipe.eval_tasks import McqTask
from stemma.rows import LETTERS, McqRow
from stemma.table import markdown
from stemma.templates import Template

OPTIONS = McqTask(task="mcq", formulation="cloze")
TASK = {
    "task": "cloze",
    "dataset_path": "json",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "Question: {{question}}\n\nAnswer:",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "{{right}}",
    "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
}


@dataclass(frozen=True)
class Scores:
    """What one tool says: log-probabilities of each question's choices, and two accuracies."""

    log_probs: list[list[float]]
    accuracy: float
    by_length: float

    def apart(self, other: Scores) -> float:
        """The largest difference of a choice's log-probability, in nats."""
        pairs = zip(self.log_probs, other.log_probs, strict=True)
        return max(abs(a - b) for one, two in pairs for a, b in zip(one, two, strict=True))


def theirs(model: Path, rows: Sequence[McqRow]) -> Scores:
    """lm-evaluation-harness by itself."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = [row.model_dump(include={"question", "choices"}) for row in rows]
        right = [LETTERS.index(row.answer) for row in rows]
        write_jsonl(
            folder / "rows.jsonl",
            [one | {"right": place} for one, place in zip(asked, right, strict=True)],
        )
        data = {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": name}
        (folder / "cloze.yaml").write_text(yaml.safe_dump(TASK | {"dataset_kwargs": data}))
        found: Any = simple_evaluate(
            model=HFLM(pretrained=str(model), device="cpu", dtype="float32", add_bos_token=False),
            tasks=["cloze"],
            task_manager=TaskManager(include_path=name, include_defaults=False),
            bootstrap_iters=0,
        )
    samples = sorted(found["samples"]["cloze"], key=lambda sample: sample["doc_id"])
    figures = found["results"]["cloze"]
    return Scores(
        [[float(one[0][0]) for one in sample["resps"]] for sample in samples],
        figures["acc,none"],
        figures["acc_norm,none"],
    )


def ours(kind: str, weights: Path, rows: Sequence[McqRow], stop: str = STOP) -> Scores:
    """Task `mcq` on one of our engines."""
    template = Template((TEMPLATES / "qa.jinja").read_text(encoding="utf-8"), "", stop)
    task = TASKS["mcq"]
    backend = open_backend(kind, str(weights), stop, int(os.environ.get("OMP_NUM_THREADS", "2")))
    setting = Setting(template, OPTIONS, list(rows), weights, 0.0)
    found: dict[str, McqSample] = {one.id: one for one in task.measure(backend, setting)}
    samples = [found[row.id] for row in rows]
    scored = task.score_records([one.model_dump() for one in samples], [], SEED, 0.1, OPTIONS)
    values = {metric.name: metric.value for metric in scored.metrics}
    return Scores(
        [list(one.log_probs.values()) for one in samples],
        values["accuracy"],
        values["normalised_accuracy"],
    )


def both_ways(
    rows: Sequence[McqRow], supports: dict[str, str]
) -> Iterator[tuple[str, list[McqRow]]]:
    """The questions alone, and each behind its support."""
    yield "closed-book", list(rows)
    behind = []
    for row in rows:
        question = f"{supports[str(row.meta['passage'])]}\n{row.question}"
        behind.append(row.model_copy(update={"question": question}))
    yield "with support", behind


def main() -> None:
    model = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    engines = [("hf", model), *(("gguf", Path(name)) for name in sys.argv[3:])]
    all_rows, passages = questions(Path(os.environ["STEMMA_DATA"]))
    rows = random.Random(SEED).sample(all_rows, count)
    supports = {one.id: one.text for one in passages}
    table = []
    for name, asked in both_ways(rows, supports):
        other = theirs(model, asked)
        figures = f"{other.accuracy:.3f} / {other.by_length:.3f}"
        table.append([name, "lm-evaluation-harness", figures, "–"])
        for kind, weights in engines:
            mine = ours(kind, weights, asked)
            figures = f"{mine.accuracy:.3f} / {mine.by_length:.3f}"
            table.append([name, f"task `mcq`, {kind}", figures, f"{mine.apart(other):.1e}"])
    heads = ("asked", "tool", "accuracy: sum / a character", "nats apart, at most")
    print("\n".join(markdown(heads, table)))
    command = "python -m bench.cloze " + " ".join(sys.argv[1:])
    print(sentence(conditions(command, processor(), f"{count} questions of SciQ, seed {SEED}")))


if __name__ == "__main__":
    main()
