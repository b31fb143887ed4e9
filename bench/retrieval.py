"""The database of passages at size: building, bytes, search, memory.

    python -m bench.retrieval build 100000 FOLDER bm25   passages of made words
    python -m bench.retrieval build 100000 FOLDER both   and vectors, drawn
    python -m bench.retrieval search FOLDER [ENCODER]    a fresh process; ENCODER: an embedding GGUF

A build that is stopped goes on where it was. Searches take one thread for numpy with
OMP_NUM_THREADS=1, and as many as there are cores for the encoder.

Words follow Zipf's law (300,000 of them, exponent 1.07, seed 42), 100 a passage; the 120 most
frequent are English stop words, so that a query of 7 words has 5 of them beside. Vectors are drawn
(384 numbers, seed 42) and stand in for a model's, whose pace is measured by itself. With ENCODER
each query is embedded by it, so that the times are whole.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.publishing import BuildFacts
from rag.writer import EMBEDDED_AT_ONCE, DatabaseWriter
from stemma.processes import cores
from stemma.retrieval.database import Database
from stemma.retrieval.embedding import LlamaEmbedder, Reading
from stemma.retrieval.passages import Embedder, Passage
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.words import STOP_WORDS

SEED = 42
WORDS = 300_000
EXPONENT = 1.07
PASSAGE_WORDS = 100
QUERY_WORDS = 7
QUERY_STOP_WORDS = 5
COMMON = 120
"""The most frequent words, which are stop words."""
DIMENSIONS = 384
QUERIES = 60
WIKI_DPR = 21_015_324
LIMIT_BYTES = 5_000_000_000


def word(number: int) -> str:
    letters, rest = [], number + 50
    while rest:
        rest, consonant = divmod(rest, 18)
        rest, vowel = divmod(rest, 5)
        letters.append("bcdfghjklmnprstvwz"[consonant] + "aeiou"[vowel])
    return "".join(letters)


class Made:
    """Passages of made words."""

    def __init__(self) -> None:
        self.words = [word(number) for number in range(WORDS)]
        self.words[:COMMON] = sorted(STOP_WORDS)[:COMMON]
        shares = 1 / (np.arange(WORDS) + 2.7) ** EXPONENT
        self.cumulative = np.cumsum(shares / shares.sum())

    def passages(self, count: int) -> Iterator[Passage]:
        random = np.random.default_rng(SEED)
        for begin in range(0, count, 10_000):
            drawn = random.random((min(10_000, count - begin), PASSAGE_WORDS))
            for place, row in enumerate(np.searchsorted(self.cumulative, drawn), start=begin):
                text = " ".join(self.words[number] for number in row)
                yield Passage(f"made:{place}", f"About {self.words[row[-1]]}", text, "made", "")

    def queries(self, count: int) -> list[str]:
        """Words of one passage each, and stop words, as a question has them."""
        random = np.random.default_rng(SEED + 1)
        found = []
        for _ in range(count):
            drawn = np.searchsorted(self.cumulative, random.random(400))
            told = drawn[drawn >= COMMON][:QUERY_WORDS]
            stop_words = list(dict.fromkeys(drawn[drawn < COMMON]))[:QUERY_STOP_WORDS]
            found.append(" ".join(self.words[one] for one in [*stop_words, *told]))
        return found


class Drawn:
    """Vectors of length 1 from the generator, in the order of the passages."""

    digest = f"drawn by seed {SEED}"
    dimensions = DIMENSIONS

    def __init__(self, encoder: LlamaEmbedder | None = None) -> None:
        self._random = np.random.default_rng(SEED)
        self._encoder = encoder

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._encoder.queries(texts) if self._encoder else self.passages(texts)

    def passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        found = self._random.standard_normal((len(texts), DIMENSIONS), dtype=np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def build(count: int, folder: Path, name: str) -> None:
    made = Made()
    drawn = 0.0
    before = peak_bytes()

    def timed() -> Iterator[Passage]:
        nonlocal drawn
        passages = made.passages(count)
        while True:
            begin = time.process_time()
            one = next(passages, None)
            drawn += time.process_time() - begin
            if one is None:
                return
            yield one

    begin = time.perf_counter()
    cpu = time.process_time()
    embedder = Drawn() if name == "both" else None
    with DatabaseWriter(folder / name, embedder, 400 * LIMIT_BYTES) as writer:
        writer.add(timed())
        facts = writer.finish(BuildFacts("made", {"made": "CC0-1.0"}))
    seconds = time.perf_counter() - begin
    sizes = {key: f"{one.bytes / count:,.0f}" for key, one in facts.files.items()}
    print(
        f"{name}: {count:,} passages in {seconds:.1f} s of wall clock; "
        f"{time.process_time() - cpu - drawn:.1f} s of CPU (drawing apart, {drawn:.1f} s)"
    )
    print(f"  peak memory {peak_bytes() / 1e6:,.0f} MB, of which before {before / 1e6:,.0f}")
    each = facts.bytes / count
    print(
        f"  bytes a passage {each:,.0f} ({sizes}); 5 GB hold {LIMIT_BYTES / each / 1e6:.2f} M;"
        f" all {WIKI_DPR:,} of wiki_dpr take {WIKI_DPR * each / 1e9:.1f} GB"
    )


def search(folder: Path, encoder: Path | None) -> None:
    model = LlamaEmbedder(encoder, Reading(), cores()) if encoder else None
    queries = Made().queries(QUERIES)
    base = resident_bytes()
    for name in sorted(path.name for path in folder.iterdir() if path.name in ("bm25", "both")):
        begin = time.perf_counter()
        database = Database.open(folder / name)
        print(f"{name}: {database.count:,} passages opened in {time.perf_counter() - begin:.3f} s")
        searcher = Searcher(database, Drawn(model) if name == "both" else None, SearchSettings())
        arms = ("bm25", "dense", "hybrid") if name == "both" else ("bm25",)
        for arm in arms:
            times, spent = _times(searcher, queries, arm)
            batch = time.perf_counter()
            searcher.search(queries, 10, arm)
            batch = (time.perf_counter() - batch) / len(queries)
            told = ", ".join(f"{1000 * one:.1f}" for one in (times[0], *_middle(times)))
            print(
                f"  {arm} top-10: ms a query, first / median / 95 %: {told}; median of CPU "
                f"{1000 * spent:.1f}; {1000 * batch:.1f} when {len(queries)} are asked together"
            )
        _long_and_many(searcher, queries)
        if name == "both":
            _recall(database)
        print(
            f"  resident {resident_bytes() / 1e6:,.0f} MB (before the database {base / 1e6:,.0f}), "
            f"peak {peak_bytes() / 1e6:,.0f}"
        )
        database.close()
    if model:
        begin = time.perf_counter()
        for query in queries:
            model.queries([query])
        print(f"embedding a query: {1000 * (time.perf_counter() - begin) / len(queries):.1f} ms")
        model.close()


def _times(searcher: Searcher, queries: Sequence[str], arm: str) -> tuple[list[float], float]:
    """Seconds of each query, and the median of CPU seconds."""
    times, spent = [], []
    for query in queries:
        begin, cpu = time.perf_counter(), time.process_time()
        searcher.search([query], 10, arm)  # type: ignore[arg-type]
        times.append(time.perf_counter() - begin)
        spent.append(time.process_time() - cpu)
    return times, statistics.median(spent[1:])


def _long_and_many(searcher: Searcher, queries: Sequence[str]) -> None:
    """A query of 10,000 words, and 1,000 queries at once, by BM25."""
    asked = {
        "a query of 10,000 words": [" ".join(Made().words[:10_000])],
        "1,000 queries at once": [queries[number % len(queries)] for number in range(1_000)],
    }
    for name, some in asked.items():
        begin, cpu = time.perf_counter(), time.process_time()
        searcher.search(some, 10, "bm25")
        wall, spent = time.perf_counter() - begin, time.process_time() - cpu
        print(f"  bm25, {name}: {wall:.2f} s, {spent:.2f} of CPU")


def _middle(times: Sequence[float]) -> tuple[float, float]:
    later = sorted(times[1:])
    return statistics.median(later), later[int(0.95 * len(later))]


def _recall(database: Database) -> None:
    """Top 10 against all of the vectors as they were drawn, in float32 at once."""
    if database.count > 200_000:
        return
    drawn = Drawn()
    # As the writer asked for them.
    whole = np.concatenate(
        [
            drawn.passages(["x"] * EMBEDDED_AT_ONCE)
            for _ in range(-(-database.count // EMBEDDED_AT_ONCE))
        ]
    )
    whole = whole[: database.count]
    asked = Drawn().passages(["x"] * 40) + 0.1 * whole[100:140]
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    stored = np.load(database.folder / "vectors.npy").astype(np.float32)

    class Given(Drawn):
        def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return asked[: len(texts)]

    one: Embedder = Given()
    hits = Searcher(database, one, SearchSettings()).search(["x"] * 40, 10, "dense")
    found = [{int(hit.passage.id.split(":")[1]) for hit in some} for some in hits]
    for name, rows in (("the stored vectors", stored), ("float32 before rounding", whole)):
        best = np.argsort(-(asked @ rows.T), axis=1, kind="stable")[:, :10]
        share = np.mean(
            [len(some & set(map(int, row))) for some, row in zip(found, best, strict=True)]
        )
        print(f"  dense recall at 10 against a brute force over {name}: {share / 10:.4f} (n = 40)")


def main(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    building = verbs.add_parser("build")
    building.add_argument("count", type=int)
    building.add_argument("folder", type=Path)
    building.add_argument("name", choices=("bm25", "both"))
    searching = verbs.add_parser("search")
    searching.add_argument("folder", type=Path)
    searching.add_argument("encoder", type=Path, nargs="?")
    given = parser.parse_args(argv)
    if given.verb == "build":
        build(given.count, given.folder, given.name)
    else:
        search(given.folder, given.encoder)


if __name__ == "__main__":
    main(sys.argv[1:])
