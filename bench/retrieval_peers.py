"""The search against peers, on the supports of SciQ's questions.

    export STEMMA_DATA=… OMP_NUM_THREADS=1
    python -m bench.retrieval_peers ours ENCODER FOLDER
    PEERS/bin/python bench/retrieval_peers.py peers FOLDER
    python -m bench.retrieval_peers paired FOLDER

`ours` builds the database in FOLDER, asks each question, and writes texts, questions and vectors
there; `peers` runs in an environment of its own (`pip install bm25s PyStemmer faiss-cpu tantivy`)
on the very same; `paired` compares recall at rank 1, question by question (McNemar's exact test).
A question's gold passage is its own support; questions whose support is missing or shorter than 50
letters are left out.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SCIQ = "sciq/sft_sciq_with_support.first2000.jsonl"
SHORTEST = 50
K = 10
TURNS = 5
FIRST: dict[str, list[bool]] = {}


def read_sciq(path: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """Supports, each once, and the questions with their support's number."""
    texts: dict[str, int] = {}
    questions = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        support = row["completion"].partition("\nExplanation:")[2].strip()
        if len(support) >= SHORTEST:
            number = texts.setdefault(support, len(texts))
            asked = row["prompt"].removeprefix("Question: ").partition("\nOptions:")[0]
            questions.append((asked, number))
    return list(texts), questions


def told(
    name: str, find: Callable[[str], Sequence[int]], questions: Sequence[Any], built: float
) -> None:
    """Print recall at 1 and 10 and the median of milliseconds a query over TURNS turns; keep which
    questions have their passage at rank 1."""
    found = [list(find(asked)) for asked, _ in questions]
    times = []
    for _ in range(TURNS):
        begin = time.process_time()
        for asked, _ in questions:
            find(asked)
        times.append(1000 * (time.process_time() - begin) / len(questions))
    ranks = [
        some.index(gold) if gold in some else K
        for some, (_, gold) in zip(found, questions, strict=True)
    ]
    first = sum(rank == 0 for rank in ranks) / len(ranks)
    FIRST[name] = [rank == 0 for rank in ranks]
    ten = sum(rank < K for rank in ranks) / len(ranks)
    mrr = sum(1 / (rank + 1) for rank in ranks if rank < K) / len(ranks)
    print(
        f"| {name} | {len(ranks)} | {first:.3f} | {ten:.3f} | {mrr:.3f} | "
        f"{sorted(times)[TURNS // 2]:.2f} | {built:.2f} |",
        flush=True,
    )


def ours(encoder: Path, folder: Path) -> None:
    from rag.publishing import BuildFacts
    from rag.writer import DatabaseWriter
    from stemma.retrieval.database import Database
    from stemma.retrieval.embedding import LlamaEmbedder, Reading
    from stemma.retrieval.passages import Passage
    from stemma.retrieval.search import Searcher
    from stemma.retrieval.settings import SearchSettings

    texts, questions = read_sciq(Path(os.environ["STEMMA_DATA"]) / SCIQ)
    passages = [Passage(str(number), "", text, "sciq", "") for number, text in enumerate(texts)]
    built = {}
    with LlamaEmbedder(encoder, Reading(), 1) as model:
        for name, embedder in (("bm25", None), ("both", model)):
            begin = time.process_time()
            with DatabaseWriter(folder / name, embedder, 10**9) as writer:
                writer.add(passages)
                writer.finish(BuildFacts("SciQ's supports", {"sciq": "CC BY-NC 3.0"}))
            built[name] = time.process_time() - begin
        asked = model.queries([question for question, _ in questions])
        given = {question: vector for (question, _), vector in zip(questions, asked, strict=True)}

        class Kept:
            """The queries' vectors, made beforehand: peers get the same."""

            digest = model.digest
            dimensions = model.dimensions

            def queries(self, some: Sequence[str]) -> np.ndarray:
                return np.stack([given[one] for one in some])

            passages = model.passages

        database = Database.open(folder / "both")
        assert database.vectors
        np.save(folder / "passages.npy", database.vectors.of(range(database.count)))
        np.save(folder / "queries.npy", asked)
        (folder / "sciq.json").write_text(json.dumps({"texts": texts, "questions": questions}))
        for arm, weight, rrf_k in (
            ("bm25", 0.5, 60.0),
            ("dense", 0.5, 60.0),
            ("hybrid", 0.5, 60.0),
            ("hybrid", 0.3, 1.0),
        ):
            settings = SearchSettings(arm=arm, weight=weight, rrf_k=rrf_k)  # type: ignore[arg-type]
            one = Searcher(database, Kept(), settings)

            def find(query: str, one: Searcher = one) -> list[int]:
                return [int(hit.passage.id) for hit in one.search([query], K)[0]]

            name = f"Stemma {arm}" + (f", weight {weight}, k {rrf_k:g}" if arm == "hybrid" else "")
            told(name, find, questions, built["bm25" if arm == "bm25" else "both"])
    (folder / "first.json").write_text(json.dumps(FIRST))


def peers(folder: Path) -> None:
    kept = json.loads((folder / "sciq.json").read_text())
    texts, questions = kept["texts"], kept["questions"]
    _fts5(texts, questions)
    _bm25s(texts, questions)
    _tantivy(texts, questions)
    _faiss(np.load(folder / "passages.npy"), np.load(folder / "queries.npy"), questions)
    (folder / "first-peers.json").write_text(json.dumps(FIRST))


def paired(folder: Path) -> None:
    """Questions that only one of two has at rank 1, and McNemar's exact p."""
    own = json.loads((folder / "first.json").read_text())
    others = json.loads((folder / "first-peers.json").read_text())
    for name, found in others.items():
        mine = own["Stemma dense" if name.startswith("faiss") else "Stemma bm25"]
        won = sum(one and not other for one, other in zip(mine, found, strict=True))
        lost = sum(other and not one for one, other in zip(mine, found, strict=True))
        tail = sum(math.comb(won + lost, count) for count in range(min(won, lost) + 1))
        p = min(1.0, 2 * tail / 2 ** (won + lost))
        print(f"| {name} | {len(mine)} | {won} | {lost} | {p:.3f} |")


def _fts5(texts: list[str], questions: list[Any]) -> None:
    import re
    import sqlite3

    begin = time.process_time()
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE words USING fts5 (text, tokenize='porter unicode61')")
    database.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", enumerate(texts))
    built = time.process_time() - begin
    from bm25s.stopwords import STOPWORDS_EN_PLUS

    def find(query: str) -> list[int]:
        words = [one for one in re.findall(r"\w+", query.lower()) if one not in STOPWORDS_EN_PLUS]
        match = " OR ".join(f'"{one}"' for one in words) or '""'
        rows = database.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (match, K)
        )
        return [row[0] for row in rows]

    told("SQLite FTS5, porter, stop words out", find, questions, built)


def _bm25s(texts: list[str], questions: list[Any]) -> None:
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    begin = time.process_time()
    index = bm25s.BM25(k1=1.2, b=0.75)
    index.index(
        bm25s.tokenize(texts, stopwords="en_plus", stemmer=stemmer, show_progress=False),
        show_progress=False,
    )
    built = time.process_time() - begin

    def find(query: str) -> list[int]:
        words = bm25s.tokenize([query], stopwords="en_plus", stemmer=stemmer, show_progress=False)
        return [int(one) for one in index.retrieve(words, k=K, show_progress=False)[0][0]]

    told(f"bm25s {bm25s.__version__}", find, questions, built)


def _tantivy(texts: list[str], questions: list[Any]) -> None:
    import re

    import tantivy

    begin = time.process_time()
    schema = tantivy.SchemaBuilder()
    schema.add_integer_field("number", stored=True)
    schema.add_text_field("text", tokenizer_name="en_stem")
    index = tantivy.Index(schema.build())
    writer = index.writer(num_threads=1)
    for number, text in enumerate(texts):
        writer.add_document(tantivy.Document(number=number, text=text))
    writer.commit()
    index.reload()
    searcher = index.searcher()
    built = time.process_time() - begin

    def find(query: str) -> list[int]:
        words = " ".join(re.findall(r"\w+", query.lower()))
        hits = searcher.search(index.parse_query(words, ["text"]), K).hits
        return [searcher.doc(place)["number"][0] for _, place in hits]

    told(f"tantivy {tantivy.__version__}, en_stem", find, questions, built)


def _faiss(passages: np.ndarray, queries: np.ndarray, questions: list[Any]) -> None:
    import faiss

    faiss.omp_set_num_threads(1)
    given = {asked: vector for (asked, _), vector in zip(questions, queries, strict=True)}
    flat = faiss.IndexFlatIP(passages.shape[1])
    graph = faiss.IndexHNSWFlat(passages.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    for name, index in (("flat", flat), ("HNSW, M 32", graph)):
        begin = time.process_time()
        index.add(passages.astype(np.float32))
        built = time.process_time() - begin

        def find(query: str, index: Any = index) -> list[int]:
            return [int(one) for one in index.search(given[query][None], K)[1][0]]

        told(f"faiss {faiss.__version__} {name} (embedding apart)", find, questions, built)


if __name__ == "__main__":
    if sys.argv[1] == "ours":
        ours(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1] == "paired":
        paired(Path(sys.argv[2]))
    else:
        peers(Path(sys.argv[2]))
