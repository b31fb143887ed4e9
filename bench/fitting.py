"""Fusion fitted on SciQ's validation questions, and what it finds on others: all arms.

    python -m bench.fitting DATA WORK [--static TABLE]

DATA: the folder with `sciq/sft_sciq_with_support.first2000.jsonl`; WORK: a folder for the encoder
and the database. Passages are the distinct supports; of their questions 300 (drawn by seed 0) are
for fitting and 400 others for the test.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from pathlib import Path

from rag.encoder import FILE, open_encoder
from rag.fitting import WEIGHTS, Question, ask, fit
from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from stemma.jsonl import read_dicts
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.database import Database
from stemma.retrieval.embedding import LlamaEmbedder
from stemma.retrieval.passages import Passage
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.static_table import StaticTable
from stemma.wheels import cache

FOR_FITTING, FOR_TEST = 300, 400
MARK = "Explanation: "


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


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--static", type=Path)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    passages, questions = read(asked.data)
    embedder: LlamaEmbedder | StaticTable
    if asked.static:
        embedder = StaticTable(asked.static)
    else:
        encoder = Encoder(model=str(minilm.fetch(cache(os.environ))))
        embedder, gate = open_encoder(encoder, asked.work / FILE, [one.text for one in passages])
        print(gate)
    folder = asked.work / f"database-{embedder.facts['kind']}"
    start, cpu = time.perf_counter(), time.process_time()
    with DatabaseWriter(folder, embedder, 5_000_000_000) as writer:
        writer.add(passages)
        writer.finish(BuildFacts("every passage", {"sciq": "CC BY-NC 3.0"}, embedder.facts))
    spent = f"{time.perf_counter() - start:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
    print(f"{len(passages)} passages written and embedded in {spent}; {embedder.cut} cut")
    random.Random(0).shuffle(questions)
    report(Searcher(Database.open(folder), embedder, SearchSettings()), questions)
    embedder.close()


def report(searcher: Searcher, questions: list[Question]) -> None:
    """Print what is fitted, and what the same arms find on other questions."""
    ranked = ask(searcher, questions[: FOR_FITTING + FOR_TEST], 100)
    fitted = fit(ranked[:FOR_FITTING], SearchSettings(), frozenset(), k=3)
    print(f"fitted:\n{fitted.table()}\n{fitted.settings}")
    at = fitted.settings.threshold
    print(next((point for point in fitted.curve if point.threshold == at), "no threshold"))
    given = frozenset({"threshold"})
    other = fit(ranked[FOR_FITTING:], SearchSettings(), given, k=3)
    print(f"on other questions (what would be chosen there is marked):\n{other.table()}")
    same = fitted.settings
    if same.arm == "hybrid":
        [there] = [
            one
            for one in other.arms
            if (one.arm, one.weight, one.rrf_k) == (same.arm, same.weight, same.rrf_k)
        ]
        print(f"as fitted: {there}")
    print(f"weights tried: 0, {', '.join(map(str, WEIGHTS))}, 1")


if __name__ == "__main__":
    main()
