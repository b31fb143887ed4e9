"""BM25 over lists of the passages that hold a word.

The lists lie in SQLite, a row for each word and block of passages, so that a change writes its own
block anew and nothing else. SQLite's own FTS5 was measured first: its `bm25()` takes 5 µs for each
passage that holds any word of the query, 170 ms for an ordinary question over 100,000 passages;
this takes about 10 ns.

Time of a query: linear in the passages that hold its words; a stop word costs 4 ns a passage.
Memory: 6 bytes for each passage of the database, and the lists of one word.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from stemma.retrieval.fusion import best
from stemma.retrieval.words import MARK, all_words_of, words_of

Scores = NDArray[np.float32]

BLOCK = 32_768
"""Passages of a block: as many as are indexed at once in 200 MB"""
K1 = 1.2
"""BM25: how soon a further occurrence of a word counts no more."""
B = 0.75
"""BM25: how far a passage's length counts against it."""

SCHEMA = """
CREATE TABLE blocks (block INTEGER PRIMARY KEY, lengths BLOB NOT NULL);
CREATE TABLE postings (
    block INTEGER NOT NULL, word TEXT NOT NULL, passages BLOB NOT NULL,
    PRIMARY KEY (block, word)
) WITHOUT ROWID;
"""
"""`lengths`: words of each passage, 16 bits each. `passages`: see `packed`."""


def packed(
    numbers: NDArray[np.int64], counts: NDArray[np.int64], begins: NDArray[np.int64]
) -> list[bytes]:
    """Lists of words: steps from passage to passage, and how often each holds the word.

    `numbers`: within the block, ascending in each list; `begins`: where each list begins, none
    empty. A list's first byte says how many bytes a step takes.
    """
    if not len(begins):
        return []
    steps = np.diff(numbers, prepend=0)
    steps[begins] = numbers[begins]
    is_narrow = np.maximum.reduceat(steps, begins) < 256
    narrow, wide = steps.astype(np.uint8).tobytes(), steps.astype("<u2").tobytes()
    times = np.minimum(counts, 255).astype(np.uint8).tobytes()
    ends = np.append(begins[1:], len(numbers))
    return [
        b"\1" + narrow[begin:end] + times[begin:end]
        if short
        else b"\2" + wide[2 * begin : 2 * end] + times[begin:end]
        for begin, end, short in zip(begins.tolist(), ends.tolist(), is_narrow, strict=True)
    ]


def unpacked(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Numbers within the block, and how often each passage holds the word."""
    width = data[0]
    count = (len(data) - 1) // (width + 1)
    steps = np.frombuffer(data, dtype=f"<u{width}", count=count, offset=1)
    times = np.frombuffer(data, dtype=np.uint8, count=count, offset=1 + count * width)
    return np.cumsum(steps, dtype=np.int64), times


def index_block(texts: Sequence[str]) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The lengths of a block's passages, and each word with its list, in the order of words.

    Memory: about 30 bytes a word of the texts.
    """
    known: dict[str, int] = {}
    lengths = np.zeros(len(texts), dtype=np.int64)
    pieces = [lengths[:0]]
    for number, text in enumerate(texts):
        held = [known.setdefault(word, len(known)) for word in all_words_of(text)]
        lengths[number] = len(held)
        pieces.append(np.array(held, dtype=np.int64) * BLOCK + number)
    # One number for word and passage: sorted, a word's passages stand together, ascending.
    pairs, counts = np.unique(np.concatenate(pieces), return_counts=True)
    ids, numbers = np.divmod(pairs, BLOCK)
    begins = np.searchsorted(ids, np.arange(len(known)))
    lists = list(zip(known, packed(numbers, counts, begins), strict=True))
    stored = np.minimum(lengths, 65_535).astype("<u2").tobytes()
    return stored, sorted(lists)


class Lexical:
    """The words' lists of a database, opened for searching."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.Error where the file is damaged."""
        rows = connection.execute("SELECT lengths FROM blocks ORDER BY block")
        self.connection = connection
        self.lengths = np.frombuffer(b"".join(row[0] for row in rows), dtype="<u2")
        """Words of each passage, [passages]."""
        total = self.lengths.sum(dtype=np.float64)
        self.mean = max(1.0, float(total) / max(len(self.lengths), 1))
        self._held: dict[str, int] = {}

    def best(
        self, query: str, count: int, allowed: NDArray[np.bool_] | None = None
    ) -> dict[int, float]:
        """The `count` passages of the highest BM25 with it, best first; of equal ones the first.

        Every one holds a word of the query that is no stop word. `allowed`: only these, [passages].

        Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), 3.4.3; the weight of
        a word as Lucene has it, ln(1 + (N - n + 0.5) / (n + 0.5)), which is never negative.
        """
        asked = sorted(Counter(all_words_of(query)).items())
        scores = np.zeros(len(self.lengths), dtype=np.float32)
        for word, times in asked:
            if word[0] != MARK:
                self._add(scores, word, times)
        if allowed is not None:
            scores *= allowed
        stop_words = [(word, times) for word, times in asked if word[0] == MARK]
        self._add_stop_words(scores, stop_words, count)
        return {number: float(scores[number]) for number in best(scores, count, floor=0.0)}

    def _add(self, scores: Scores, word: str, times: int) -> None:
        """Add a word's part to the scores of all passages."""
        numbers, counts = self._holding(word)
        if len(numbers):
            weight = times * self._weight(len(numbers))
            scores[numbers] += self._parts(weight, counts, self.lengths[numbers])

    def _add_stop_words(self, scores: Scores, words: Sequence[tuple[str, int]], count: int) -> None:
        """Add the stop words' parts where they can change which are the best `count`, and in what
        order: not where the sum of all that they can add does not reach the last of these.

        So their lists, the longest of all, are unpacked but not computed with. Turtle and Flood,
        Query evaluation: strategies and optimizations (1995), call it max score.
        """
        weights = {
            word: times * self._weight(self._count(word))
            for word, times in words
            if self._count(word)
        }
        most = sum(weights.values()) * (K1 + 1)
        found = scores[scores > 0]
        if not len(found) or not most:
            return
        last = np.partition(found, -count)[-count] if len(found) > count else 0
        # Sums of float32 are right to some 1e-6.
        near = np.flatnonzero(scores > max(0.0, 0.9999 * float(last) - most))
        held = np.zeros(BLOCK, dtype=np.uint8)
        for word, weight in weights.items():
            for first, within, times in self._blocks(word):
                held[:] = 0
                held[within] = times
                some = near[np.searchsorted(near, first) : np.searchsorted(near, first + BLOCK)]
                counts = held[some - first]
                numbers, counts = some[counts > 0], counts[counts > 0]
                scores[numbers] += self._parts(weight, counts, self.lengths[numbers])

    def _weight(self, holding: int) -> float:
        """What a word counts that so many passages hold."""
        return math.log1p((len(self.lengths) - holding + 0.5) / (holding + 0.5))

    def _parts(
        self, weight: float, counts: NDArray[np.uint8], lengths: NDArray[np.uint16]
    ) -> Scores:
        """A word's part in the scores of passages that hold it so often and are so long."""
        occurrences = counts.astype(np.float32)
        factor = np.float32(B / self.mean) * lengths.astype(np.float32)
        below = occurrences + np.float32(K1) * (np.float32(1 - B) + factor)
        return np.float32(weight * (K1 + 1)) * (occurrences / below)

    def _count(self, word: str) -> int:
        """How many passages hold a word; kept, because all of its lists must be read."""
        if word not in self._held:
            self._held[word] = sum(len(times) for _, _, times in self._blocks(word))
        return self._held[word]

    def _blocks(self, word: str) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.uint8]]]:
        """A word's lists: the first number of a block, numbers within it, and how often."""
        for block in range(-(-len(self.lengths) // BLOCK)):
            row = self.connection.execute(
                "SELECT passages FROM postings WHERE block = ? AND word = ?", (block, word)
            ).fetchone()
            if row:
                yield block * BLOCK, *unpacked(row[0])

    def _holding(self, word: str) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """The passages that hold a word, and how often."""
        numbers, counts = [], []
        for first, within, times in self._blocks(word):
            numbers.append(within + first)
            counts.append(times)
        if not numbers:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint8)
        return np.concatenate(numbers), np.concatenate(counts)

    def weights(self, query: str) -> dict[str, float]:
        """The words of a query that are no stop words, each with how often it stands there × its
        weight in BM25; one that no passage holds weighs most."""
        return {
            word: times * self._weight(self._count(word))
            for word, times in Counter(words_of(query)).items()
        }
