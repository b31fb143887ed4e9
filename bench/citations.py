"""Citation faithfulness of a real model: SmolLM2 135M answers SciQ's questions with passages.

Run `python -m bench.citations FOLDER [questions] [passages]`; 60 questions and 3 passages by
default. `STEMMA_DATA` names the folder with `sciq/sft_sciq_with_support.first2000.jsonl`.

Each question is asked without options in the model's chat template, behind what BM25 found; the
replies are greedy, 48 tokens at most. Each reply is then scored behind its whole context, without
the passage it cites (where it cites none, the first), and without another, by `eval.deletion`. What
a right reply says is known, so the falls are told apart by whether the reply holds the answer's
text. Samples are kept in FOLDER: killed, it goes on where it stopped.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.conditions import conditions, processor, sentence
from bench.retrieval_arms import FORMS, MAX_TOKENS, PROMPT, SEED, STOP, database, questions
from bench.retrieval_arms import variant_of as smollm2
from eval.backends import Backend, open_backend
from eval.cells import cell_of
from eval.contexts import Retrieval, RowsInContext, rows_in_context
from eval.deletion import deletions, falls, metrics, passages_without, rows_to_compare
from eval.job import Records
from eval.measured import read_kept
from eval.questions_asked import user_turn
from eval.retriever import Before, retrieval_of
from eval.rows_to_score import RowsToScore, read_task
from eval.task import Setting
from eval.tasks import TASKS
from eval.worker import measure
from stemma.from_gguf.smollm2 import cache, fetch
from stemma.jsonl import write_jsonl
from stemma.llama import Llama
from stemma.recipe.eval_tasks import EvalTask, GenerationTask, PreferenceTask
from stemma.retrieval.passages import Hit, Passage
from stemma.rows import LETTERS, McqRow, SftRow
from stemma.table import markdown
from stemma.templates import answered

TOKENS = 48
"""Of a reply, at most."""


@dataclass(frozen=True)
class Model:
    """The model, loaded, and where its samples are kept."""

    backend: Backend
    weights: Path
    folder: Path

    def samples(self, options: EvalTask, rows: RowsToScore, path: Path) -> Records:
        """What it says of the rows in a file; what is kept is not measured again."""
        template = FORMS["cloze, chat"].read
        cell = cell_of(smollm2(self.weights, template, 1), options, self.folder / "measured", path)
        measure(self.backend, cell, Setting(template, options, [], self.weights, 0.0))
        kept = read_kept(Path(cell.folder), TASKS[options.task].sample.model_fields)
        return [kept[digest] for digest in rows.digests.values()]


def asked(rows: Sequence[McqRow]) -> Iterator[SftRow]:
    """The questions without options; the answer is the right option's text."""
    for row in rows:
        right = row.choices[LETTERS.index(row.answer)]
        meta = row.meta | {"gold": right}
        messages = answered(row.question, right)
        yield SftRow(id=row.id, source=row.source, messages=messages, meta=meta)


def fallen(
    model: Model, retrieval: Retrieval, closed: Mapping[str, SftRow], found: RowsInContext
) -> Records:
    """Each reply with its falls, and whether it holds the answer."""
    options = GenerationTask(task="generation", max_new_tokens=TOKENS)
    replies = model.samples(options, found.rows, found.path)
    contexts = {one.id: one for one in found.contexts}
    taken_out = deletions(replies, found.contexts, SEED)

    def without(row: str, number: int | None) -> str:
        kept = passages_without(contexts[row].passages, number)
        hits = [
            Hit(Passage(one.id, one.title, one.text, one.source, one.place), 0.0, None, None)
            for one in kept
        ]
        return retrieval.putter.put(user_turn(closed[row]), hits).text

    said = {one["id"]: str(one["reply"]) for one in replies}
    path = model.folder / "deletion.jsonl"
    write_jsonl(path, list(rows_to_compare(taken_out, closed, said, without)))
    pairs = read_task(TASKS["preference"], "preference", path, None)
    scored = model.samples(PreferenceTask(task="preference"), pairs, path)
    return [one | _answer(closed[one["id"]], said[one["id"]]) for one in falls(taken_out, scored)]


def _answer(row: SftRow, reply: str) -> dict[str, Any]:
    holds = row.messages[-1].content.lower() in reply.lower()
    return {"reply": reply, "holds the answer": holds}


def lines(rows: Records) -> Iterator[list[str]]:
    """The figures of all replies, and of those that hold the answer or do not."""
    groups = {
        "all replies": rows,
        "hold the answer": [row for row in rows if row["holds the answer"]],
        "do not": [row for row in rows if not row["holds the answer"]],
        "cite a passage": [row for row in rows if row["cites"]],
    }
    for name, some in groups.items():
        for one in metrics(some, SEED) if some else ():
            bounds = f"[{one.low:.2f}, {one.high:.2f}]" if one.low is not None else ""
            yield [name, one.name, str(one.n), f"{one.value:.2f} {bounds}"]


def main() -> None:
    folder = Path(sys.argv[1])
    given = [int(value) for value in sys.argv[2:]]
    count, most = [*given, *(60, 3)[len(given) :]]
    weights = fetch(cache(os.environ))
    all_rows, passages = questions(Path(os.environ["STEMMA_DATA"]))
    path = folder / "asked.jsonl"
    write_jsonl(path, list(asked(random.Random(SEED).sample(all_rows, count))))
    closed = read_task(TASKS["generation"], "generation", path, None)
    with Llama(weights, 512, 1) as counter:
        retrieval = retrieval_of(
            database(folder, passages),
            Before(PROMPT, MAX_TOKENS, most, SEED),
            lambda text: len(counter.tokenize(text)),
        )
        found = rows_in_context(retrieval, "generation", "retrieved", closed, folder / "measured")
        assert found
        threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
        model = Model(open_backend("gguf", str(weights), STOP, threads), weights, folder)
        rows = fallen(model, retrieval, {row.id: row for row in closed.rows}, found)
    write_jsonl(folder / "falls.jsonl", rows)
    print("\n".join(markdown(("replies", "figure", "n", "value, 95 %"), list(lines(rows)))))
    sizes = f"{len(passages):,} passages, {count} questions, {most} passages each, seed {SEED}"
    command = "python -m bench.citations " + " ".join(sys.argv[1:])
    print(sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
