"""A real model with passages: SmolLM2 135M on SciQ's questions, whose supports are the corpus.

Run `python -m bench.retrieval_arms FOLDER [questions] [passages]`; 200 questions and 1 passage by
default. `STEMMA_DATA` names the folder with `sciq/sft_sciq_with_support.first2000.jsonl`.

In three forms: cloze in the model's chat template (each option's text is scored behind the question
alone), cloze as plain text (`Question: …`, `Answer:`), and with the options listed, their texts
scored. Each closed-book, with a passage drawn by chance, with what BM25 found, and with the
question's own support, through the product's own database, search, prompt, task and statistics.
Samples are kept in FOLDER: killed, it goes on where it stopped, and the same command again costs
nothing.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from bench.conditions import conditions, processor, sentence
from data_builders.flow import Draft, SourceContext
from data_builders.sources import sciq_support
from eval.arms import compared_arms, shared_rows
from eval.backends import open_backend
from eval.cells import cell_of
from eval.contexts import Retrieval, rows_in_context
from eval.job import Variant
from eval.measured import read_kept
from eval.retriever import Before, retrieval_of
from eval.rows_to_score import RowsToScore, read_task
from eval.searched import DEPTH, per_query, ranked, search_scores
from eval.task import Setting, TaskScores
from eval.tasks import TASKS
from eval.worker import measure
from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from stemma import ROOT
from stemma.from_gguf.smollm2 import GGUF_SHA256, cache, fetch
from stemma.jsonl import write_jsonl
from stemma.llama import Llama
from stemma.recipe.eval_arms import ARMS, Arm, split_arm, with_arm
from stemma.recipe.eval_tasks import Formulation, McqTask
from stemma.retrieval.passages import Passage
from stemma.rows import McqRow, Score
from stemma.table import markdown
from stemma.templates import Template

SEED = 42
FILE = "sciq/sft_sciq_with_support.first2000.jsonl"
TEMPLATES = ROOT / "recipes/templates"
PROMPT = ROOT / "recipes/prompts/context.jinja"
MAX_TOKENS = 512
STOP = "<|im_end|>"

Scored = dict[str, dict[str, dict[str, TaskScores]]]
"""By form, variant and task."""


@dataclass(frozen=True)
class Form:
    """A way to put the questions: the template's file, its first token, and the formulation."""

    template: str
    bos: str
    formulation: Formulation

    @property
    def read(self) -> Template:
        """The template with the model's tokens."""
        return Template((TEMPLATES / self.template).read_text(encoding="utf-8"), self.bos, STOP)


FORMS = {
    "cloze, chat": Form("smollm2.jinja", "<|im_start|>", "cloze"),
    "cloze, plain": Form("qa.jinja", "", "cloze"),
    "listed, chat": Form("smollm2.jinja", "<|im_start|>", "multiple_choice"),
}


@dataclass(frozen=True)
class Arms:
    """The questions, closed-book and in every arm, by `mcq`, `mcq+retrieved`, …"""

    retrieval: Retrieval
    rows: dict[str, RowsToScore]
    files: dict[str, Path]


def questions(root: Path) -> tuple[list[McqRow], list[Passage]]:
    """SciQ's questions with the id of their support, and all distinct supports as passages."""
    options = sciq_support.Options.model_validate(
        {"source": "sciq_support", "path": FILE, "answer_as": "explained"}
    )
    context = SourceContext("mcq", root, SEED, (), lambda _: None)
    rows, passages = [], dict[str, Passage]()
    for number, found in enumerate(sciq_support.read(options, context)):
        if not isinstance(found, Draft):
            continue
        row = found.row
        text = row["explanation"]
        passage = passages.setdefault(text, Passage(f"support-{number}", "", text, "sciq", ""))
        asked = {key: row[key] for key in ("question", "choices", "answer")}
        meta = {"passage": passage.id}
        rows.append(McqRow(id=f"q{number}", source="sciq", meta=meta, answer_as="text", **asked))
    return rows, list(passages.values())


def database(folder: Path, passages: list[Passage]) -> Path:
    """The supports as a database that is searched by words."""
    place = folder / "database"
    if not (place / "database.json").is_file():
        with DatabaseWriter(place, None, 5_000_000_000) as writer:
            writer.add(passages)
            writer.finish(BuildFacts("every support of SciQ's file", {"sciq": "CC-BY-NC-3.0"}))
    return place


def measured(folder: Path, arms: Arms, forms: Mapping[str, Form]) -> Scored:
    """The scores of every form and arm; what is kept is not measured again."""
    weights = fetch(cache(os.environ))
    threads = int(os.environ.get("OMP_NUM_THREADS", "2"))
    backend = open_backend("gguf", str(weights), STOP, threads)
    task = TASKS["mcq"]
    found: Scored = {}
    for form, how in forms.items():
        options = McqTask(task="mcq", formulation=how.formulation)
        variant = variant_of(weights, how.read, threads)
        for name, one in arms.rows.items():
            cell = cell_of(variant, options, folder / "measured", arms.files[name])
            begin = perf_counter()
            measure(backend, cell, Setting(how.read, options, [], weights, 0.0))
            seconds = perf_counter() - begin
            print(f"{form}: {name}: {seconds:.0f} s", file=sys.stderr, flush=True)
            kept = read_kept(Path(cell.folder), task.sample.model_fields)
            samples = [kept[digest] for digest in one.digests.values()]
            scores = task.score_records(samples, [], SEED, 0.1, options)
            found.setdefault(form, {})[f"smollm2{name.removeprefix('mcq')}"] = {"mcq": scores}
    return found


def variant_of(weights: Path, template: Template, threads: int) -> Variant:
    """The model as the evaluation knows it."""
    return Variant(
        name="smollm2",
        kind="gguf",
        weights=str(weights),
        digest=GGUF_SHA256,
        made_by=None,
        template=template.text,
        bos=template.bos,
        eos=template.eos,
        threads=threads,
    )


def arms_of(folder: Path, count: int, most: int) -> Arms:
    """So many questions in every arm, with at most so many passages before each."""
    all_rows, passages = questions(Path(os.environ["STEMMA_DATA"]))
    files = {"mcq": folder / "questions.jsonl"}
    write_jsonl(files["mcq"], random.Random(SEED).sample(all_rows, count))
    rows = {"mcq": read_task(TASKS["mcq"], "mcq", files["mcq"], None)}
    with Llama(fetch(cache(os.environ)), 512, 1) as counter:
        retrieval = retrieval_of(
            database(folder, passages),
            Before(PROMPT, MAX_TOKENS, most, SEED),
            lambda text: len(counter.tokenize(text)),
        )
        arm: Arm
        for arm in ARMS:
            found = rows_in_context(retrieval, "mcq", arm, rows["mcq"], folder / "measured")
            assert found
            name = with_arm("mcq", arm)
            rows[name], files[name] = found.rows, found.path
    return Arms(retrieval, rows, files)


def searched_alone(retrieval: Retrieval, rows: list[McqRow]) -> list[Score]:
    """How often BM25 finds a question's own support."""
    hits = retrieval.search([row.question for row in rows], DEPTH, "bm25")
    gold = [retrieval.gold.of(row) for row in rows]
    ranks = [ranked(found, own, retrieval.gold) for found, own in zip(hits, gold, strict=True)]
    values = per_query(ranks, [[one.id for one in own] for own in gold])
    return search_scores({"bm25": values}, [row.id for row in rows], SEED)


def accuracies(scored: Scored) -> Iterator[list[str]]:
    """Each form and metric: every arm on the rows that all have."""
    for form, variants in scored.items():
        for one in shared_rows(variants, SEED):
            values = (one.values[arm] for arm in ("", *ARMS))
            cells = [f"{of.value:.3f} [{of.low:.3f}, {of.high:.3f}]" for of in values]
            yield [form, one.metric.replace("_", " "), str(one.n), *cells]


def comparisons(scored: Scored) -> Iterator[list[str]]:
    """Each form and metric: two arms on the same questions."""
    for form, variants in scored.items():
        for one in compared_arms(variants):
            against = split_arm(one.against)[1] or "closed-book"
            pair = f"{split_arm(one.variant)[1]} − {against}"
            counts = [str(one.gained), str(one.lost)]
            bounds = f"{one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
            yield [form, one.metric.replace("_", " "), pair, *counts, bounds, f"{one.p_holm:.2g}"]


def main() -> None:
    folder = Path(sys.argv[1])
    given = [int(value) for value in sys.argv[2:]]
    count, most = [*given, *(200, 1)[len(given) :]]
    arms = arms_of(folder, count, most)
    scored = measured(folder, arms, FORMS)
    heads = ("form", "metric", "n", "closed-book", *ARMS)
    print("\n".join(markdown(heads, list(accuracies(scored)))))
    heads = ("form", "metric", "pair", "won", "lost", "difference, 95 %", "p (Holm)")
    print("\n".join(markdown(heads, list(comparisons(scored)))))
    searched = [
        [score.metric, f"{score.value:.3f}", f"[{score.low:.3f}, {score.high:.3f}]", str(score.n)]
        for score in searched_alone(arms.retrieval, arms.rows["mcq"].rows)
    ]
    print("\n".join(markdown(("BM25 alone", "value", "95%", "n"), searched)))
    held = arms.retrieval.database.count
    sizes = f"{held:,} passages, {count} questions, {most} passages each, seed {SEED}"
    command = "python -m bench.retrieval_arms " + " ".join(sys.argv[1:])
    print(sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
