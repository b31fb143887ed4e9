"""Fusion and abstention fitted on SciQ's validation questions, and what they do on others.

    python -m bench.fitting DATA WORK [--static TABLE [--rerank]]

DATA: the folder with `sciq/sft_sciq_with_support.first2000.jsonl`; WORK: a folder for the encoder
and the database. Passages are the distinct supports, and those of `tests/rag/paraphrases.jsonl`.
300 of the supports' questions (drawn by seed 0) are for fitting, 1,000 others for the test; beside
them questions in other words than their passage, and `tests/rag/unanswerable.jsonl`: chit-chat,
tasks, gibberish and other subjects. `--static`: a static table in the encoder's place; `--rerank`:
the encoder re-ranks what it finds.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.abstaining import auroc, relevance_of
from rag.embedders import open_embedder
from rag.fitting import Fitted, fit
from rag.publishing import BuildFacts
from rag.ranked import Question, Ranked, ask
from rag.writer import DatabaseWriter
from stemma.jsonl import read_dicts
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.database import Database
from stemma.retrieval.embedding import LlamaEmbedder
from stemma.retrieval.passages import Passage
from stemma.retrieval.reranking import RerankedTable
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.static_table import StaticTable
from stemma.table import aligned
from stemma.wheels import cache

FOR_FITTING, FOR_TEST = 300, 1000
TIMED = 10
MARK = "Explanation: "
Chosen = LlamaEmbedder | StaticTable | RerankedTable
OWN = Path(__file__).parent.parent / "tests" / "rag"


def read(data: Path) -> tuple[list[Passage], list[Question]]:
    """SciQ's supports, each once, and the questions they belong to."""
    ids: dict[str, str] = {}
    questions = []
    for row in read_dicts(data / "sciq" / "sft_sciq_with_support.first2000.jsonl"):
        support = row["completion"].partition(MARK)[2].strip()
        if support:
            name = ids.setdefault(support, f"s{len(ids)}")
            asked = row["prompt"].removeprefix("Question: ").partition("\nOptions:")[0]
            questions.append(Question(asked, frozenset({name})))
    passages = [Passage(name, "", text, "sciq", "") for text, name in ids.items()]
    return passages, questions


def paraphrases() -> tuple[list[Passage], list[Question]]:
    """Passages of our own, and questions that share no word with them."""
    rows = read_dicts(OWN / "paraphrases.jsonl")
    passages = [Passage(str(row["id"]), "", str(row["passage"]), "own", "") for row in rows]
    return passages, [Question(str(row["question"]), frozenset({str(row["id"])})) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--static", type=Path)
    parser.add_argument("--rerank", action="store_true")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    passages, questions = read(asked.data)
    passages += paraphrases()[0]
    encoder = Encoder(model=str(minilm.fetch(cache(os.environ))))
    if asked.static:
        encoder = Encoder(static=str(asked.static), rerank=encoder if asked.rerank else None)
    with open_embedder(encoder, asked.work, [one.text for one in passages]) as opened:
        assert opened
        print(*opened.gates)
        run(asked.work, opened.embedder, passages, questions)


def run(work: Path, embedder: Chosen, passages: list[Passage], questions: list[Question]) -> None:
    """Build the database, and print what is fitted and found."""
    kind = "-".join(["database", str(embedder.facts["kind"]), *(["rerank"] * reranks(embedder))])
    folder = work / kind
    start, cpu = time.perf_counter(), time.process_time()
    licences = {"sciq": "CC BY-NC 3.0", "own": "Apache-2.0"}
    with DatabaseWriter(folder, embedder, 5_000_000_000) as writer:
        writer.add(passages)
        writer.finish(BuildFacts("every passage", licences, embedder.facts))
    spent = f"{time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
    print(f"{len(passages)} passages written and embedded in {spent}; {embedder.cut} cut")
    random.Random(0).shuffle(questions)
    searcher = Searcher(Database.open(folder), embedder, SearchSettings())
    for again in ("", " again"):
        start = time.process_time()
        searcher.search([one.text for one in questions[:TIMED]], 10, "dense")
        spent = 1000 * (time.process_time() - start) / TIMED
        print(f"{spent:.1f} ms of CPU a query by vectors{again}, the first {TIMED} questions")
    report(searcher, questions)


def reranks(embedder: Chosen) -> bool:
    return isinstance(embedder, RerankedTable)


def report(searcher: Searcher, questions: list[Question]) -> None:
    """Print what is fitted, and what the same does on other questions."""
    ranked = ask(searcher, questions[: FOR_FITTING + FOR_TEST], 100)
    sciq, others = ranked[:FOR_FITTING], ranked[FOR_FITTING:]
    reworded = ask(searcher, paraphrases()[1], 100)
    asked = [str(row["question"]) for row in read_dicts(OWN / "unanswerable.jsonl")]
    nowhere = ask(searcher, [Question(text, frozenset()) for text in asked], 100)
    # Every second of the reworded ones, so often that they are as many as the others.
    both = sciq + reworded[::2] * (len(sciq) // len(reworded[::2]))
    for name, validation in (("SciQ", sciq), ("SciQ and reworded, equally many", both)):
        fitted = fit(validation, SearchSettings(), frozenset(), k=3)
        print(f"\n== fitted on {name}\n{fitted.table()}\n{fitted.settings}")
        tried(fitted, {"SciQ": others, "reworded": reworded[1::2]}, nowhere)


def tried(fitted: Fitted, tests: dict[str, list[Ranked]], nowhere: list[Ranked]) -> None:
    """Print what the fitted settings do on test questions, beside all else that was compared."""
    for name, test in tests.items():
        same = fit(test, SearchSettings(), frozenset({"threshold"}), k=3)
        own = (fitted.chosen.arm, fitted.chosen.weight, fitted.chosen.rrf_k)
        [there] = [one for one in same.arms if (one.arm, one.weight, one.rrf_k) == own]
        print(
            f"\non {name}; chosen is what would be best here\n{same.arm_table()}\nas fitted {there}"
        )
    rows = []
    for weight in dict.fromkeys((0.0, 1.0, 0.5, fitted.settings.relevance_weight)):
        settings = fitted.settings.model_copy(update={"relevance_weight": weight})
        level = next(x.threshold for x in fitted.relevances if x.relevance_weight == weight)
        off = told(nowhere, settings, gone=False)
        for name, test in tests.items():
            here, gone = (told(test, settings, gone) for gone in (False, True))
            shares = ((here >= level).mean(), (gone < level).mean(), (off < level).mean())
            figures = (*shares, auroc(here, gone), auroc(here, off))
            rows.append(
                [f"{weight:g}", name, str(len(test)), *(f"{value:.3f}" for value in figures)]
            )
    heads = ["cosine's weight", "test", "n", "kept", "refused: passage out", "refused: elsewhere"]
    print("\n" + "\n".join(aligned([*heads, "AUROC: out", "AUROC: elsewhere"], rows)))


def told(questions: list[Ranked], settings: SearchSettings, gone: bool) -> NDArray[np.float64]:
    """The relevance of each question; `gone`: with its passages taken out."""
    none: frozenset[str] = frozenset()
    return np.array([relevance_of(one, settings, one.gold if gone else none) for one in questions])


if __name__ == "__main__":
    main()
