"""A real model with passages: SmolLM2 135M on SciQ's questions, whose supports are the corpus.

Run `python -m bench.retrieval_arms FOLDER [questions] [passages]`; 200 questions and 1 passage by
default. `STEMMA_DATA` names the folder with `sciq/sft_sciq_with_support.first2000.jsonl`.

So small a model cannot point at letters: the choices' texts are scored behind the question.
Closed-book, one passage drawn by chance, what BM25 found, and the question's own support, through
the product's own database, search, prompt, task and statistics. Samples are kept in FOLDER: killed,
it goes on where it stopped, and the same command again costs nothing.
"""

from __future__ import annotations

import os
import random
import sys
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
from stemma.recipe.eval_arms import ARMS, Arm, with_arm
from stemma.recipe.eval_tasks import McqTask
from stemma.retrieval.passages import Passage
from stemma.rows import McqRow, Score
from stemma.table import markdown
from stemma.templates import Template

SEED = 42
FILE = "sciq/sft_sciq_with_support.first2000.jsonl"
TEMPLATE = ROOT / "recipes/templates/smollm2.jinja"
PROMPT = ROOT / "recipes/prompts/context.jinja"
MAX_TOKENS = 512


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


def measured(
    folder: Path, rows: dict[str, RowsToScore], files: dict[str, Path], weights: Path
) -> dict[str, dict[str, TaskScores]]:
    """The scores of every arm; what is kept is not measured again."""
    template = Template(TEMPLATE.read_text(encoding="utf-8"), "<|im_start|>", "<|im_end|>")
    variant = Variant(
        name="smollm2",
        kind="gguf",
        weights=str(weights),
        digest=GGUF_SHA256,
        made_by=None,
        template=template.text,
        bos=template.bos,
        eos=template.eos,
        threads=int(os.environ.get("OMP_NUM_THREADS", "2")),
    )
    task = TASKS["mcq"]
    backend = open_backend("gguf", str(weights), template.stop(), variant.threads)
    options = McqTask(task="mcq")
    found = {}
    for name, one in rows.items():
        cell = cell_of(variant, options, folder / "measured", files[name])
        begin = perf_counter()
        measure(backend, cell, Setting(template, options, [], weights, 0.0))
        print(f"{name}: {perf_counter() - begin:.0f} s", file=sys.stderr, flush=True)
        kept = read_kept(Path(cell.folder), task.sample.model_fields)
        samples = [kept[digest] for digest in one.digests.values()]
        found[f"smollm2{name.removeprefix('mcq')}"] = {
            "mcq": task.score_records(samples, [], SEED, 0.1)
        }
    return found


def arms_of(
    retrieval: Retrieval, closed: RowsToScore, folder: Path
) -> tuple[dict[str, RowsToScore], dict[str, Path]]:
    """The rows of every arm, and their files."""
    rows: dict[str, RowsToScore] = {"mcq": closed}
    files = {"mcq": folder / "questions.jsonl"}
    arm: Arm
    for arm in ARMS:
        found = rows_in_context(retrieval, "mcq", arm, closed, folder / "measured")
        assert found
        name = with_arm("mcq", arm)
        rows[name], files[name] = found.rows, found.path
    return rows, files


def searched_alone(retrieval: Retrieval, rows: list[McqRow]) -> list[Score]:
    """How often BM25 finds a question's own support."""
    hits = retrieval.search([row.question for row in rows], DEPTH, "bm25")
    gold = [retrieval.gold.of(row) for row in rows]
    ranks = [ranked(found, own, retrieval.gold) for found, own in zip(hits, gold, strict=True)]
    values = per_query(ranks, [[one.id for one in own] for own in gold])
    return search_scores({"bm25": values}, [row.id for row in rows], SEED)


def _bounds(low: float, high: float) -> str:
    return f"[{low:+.3f}, {high:+.3f}]"


def main() -> None:
    folder = Path(sys.argv[1])
    given = [int(value) for value in sys.argv[2:]]
    count, most = [*given, *(200, 1)[len(given) :]]
    weights = fetch(cache(os.environ))
    all_rows, passages = questions(Path(os.environ["STEMMA_DATA"]))
    some = random.Random(SEED).sample(all_rows, count)
    write_jsonl(folder / "questions.jsonl", some)
    closed = read_task(TASKS["mcq"], "mcq", folder / "questions.jsonl", None)
    with Llama(weights, 512, 1) as counter:
        retrieval = retrieval_of(
            database(folder, passages),
            Before(PROMPT, MAX_TOKENS, most, SEED),
            lambda text: len(counter.tokenize(text)),
        )
        rows, files = arms_of(retrieval, closed, folder)
    scored = measured(folder, rows, files, weights)
    [shared] = shared_rows(scored, SEED)
    table = [
        [
            arm or "closed-book",
            f"{one.value:.3f}",
            f"[{one.low:.3f}, {one.high:.3f}]",
            str(shared.n),
        ]
        for arm, one in shared.values.items()
    ]
    print("\n".join(markdown(("arm", "accuracy", "95%", "n"), table)))
    pairs = [
        [
            one.variant,
            one.against,
            str(one.gained),
            str(one.lost),
            f"{one.difference:+.3f}",
            _bounds(one.low, one.high),
            f"{one.p_holm:.2g}",
        ]
        for one in compared_arms(scored)
    ]
    heads = ("arm", "against", "won", "lost", "difference", "95%", "p (Holm)")
    print("\n".join(markdown(heads, pairs)))
    searched = [
        [score.metric, f"{score.value:.3f}", f"[{score.low:.3f}, {score.high:.3f}]", str(score.n)]
        for score in searched_alone(retrieval, closed.rows)
    ]
    print("\n".join(markdown(("BM25 alone", "value", "95%", "n"), searched)))
    sizes = f"{len(passages):,} passages, {count} questions, {most} passages each, seed {SEED}"
    command = "python -m bench.retrieval_arms " + " ".join(sys.argv[1:])
    print(sentence(conditions(command, processor(), sizes)))


if __name__ == "__main__":
    main()
