"""The best passages for each of many questions, in two passes over a corpus of any size.

A search index of all of Wikipedia takes hours and more disk than the database may; here passages
stream by, and only the best of each question are kept. The order is that of BM25 with the words
that the database compares: Robertson and Zaragoza, 2009, with k1 = 1.2 and b = 0.75 as SQLite's
FTS5 has them; the weight of a word is Lucene's, which is never negative.

Memory: questions x `count`, and the words of the questions; nothing grows with the corpus. Time:
for each passage its words, and the questions that share one of them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stemma.retrieval.words import words_of

K1 = 1.2
B = 0.75
SCORES_AT_ONCE = 8_000_000
"""Scores of a block of passages by all questions that are held at most."""
BLOCK = 2048


class Finder:
    """The best passages of each question. First `learn` all passages, then `search` them."""

    def __init__(self, questions: Sequence[str], count: int) -> None:
        self._columns: dict[str, int] = {}
        rows, columns = [], []
        for number, question in enumerate(questions):
            for word in dict.fromkeys(words_of(question)):
                rows.append(number)
                columns.append(self._columns.setdefault(word, len(self._columns)))
        shape = (max(1, len(self._columns)), len(questions))
        ones = np.ones(len(rows), dtype=np.float32)
        self._asked = sparse.csr_matrix((ones, (columns, rows)), shape=shape)
        self._count = count
        self._holding = np.zeros(shape[0], dtype=np.int64)
        """Passages that hold each word."""
        self._words = 0
        self.passages = 0
        self._seen = 0
        self._best: list[list[tuple[float, int]]] = [[] for _ in questions]
        self._floor = np.zeros(len(questions), dtype=np.float32)
        """What a further passage of a question must be better than."""
        self._block = max(16, min(BLOCK, SCORES_AT_ONCE // max(1, len(questions))))

    def learn(self, texts: Iterable[str]) -> None:
        """Count words: how rare each is decides what it weighs."""
        for text in texts:
            words = words_of(text)
            self._words += len(words)
            self.passages += 1
            for word in set(words):
                if (column := self._columns.get(word)) is not None:
                    self._holding[column] += 1

    def search(self, texts: Iterable[str]) -> None:
        """Look through the passages again, in the same order."""
        rest = iter(texts)
        while block := list(islice(rest, self._block)):
            scores = self._weighted(block) @ self._asked
            self._keep(scores.tocsr())
            self._seen += len(block)

    def ranked(self) -> list[list[int]]:
        """By question, the places of its passages in the corpus, best first; at a tie the earlier
        one."""
        return [[-place for _, place in sorted(held, reverse=True)] for held in self._best]

    def _weighted(self, block: Sequence[str]) -> sparse.csr_matrix:
        """What the words of passages weigh, [passages, words]."""
        rows, columns, counts, lengths = [], [], [], []
        for row, text in enumerate(block):
            words = words_of(text)
            lengths.append(len(words))
            for word, count in Counter(words).items():
                if (column := self._columns.get(word)) is not None:
                    rows.append(row)
                    columns.append(column)
                    counts.append(count)
        often = np.asarray(counts, dtype=np.float32)
        usual = self._words / max(1, self.passages) or 1.0
        relative = np.asarray(lengths, dtype=np.float32)[rows] / usual
        rare = np.log1p((self.passages - self._holding + 0.5) / (self._holding + 0.5))
        norm = often + K1 * (1 - B + B * relative)
        weights = rare[columns].astype(np.float32) * often * (K1 + 1) / norm
        return sparse.csr_matrix((weights, (rows, columns)), shape=(len(block), len(rare)))

    def _keep(self, scores: sparse.csr_matrix) -> None:
        better = np.flatnonzero(scores.data > self._floor[scores.indices])
        rows: NDArray[np.int64] = np.searchsorted(scores.indptr, better, side="right") - 1
        found = zip(rows.tolist(), scores.indices[better].tolist(), scores.data[better].tolist())  # noqa: B905  # of one array
        for row, question, score in found:
            held = self._best[question]
            entry = (score, -(self._seen + row))
            if len(held) < self._count:
                heapq.heappush(held, entry)
            elif entry > held[0]:
                heapq.heapreplace(held, entry)
            if len(held) == self._count:
                self._floor[question] = held[0][0]


def best_places(
    questions: Sequence[str], count: int, passes: Iterator[Iterable[str]]
) -> tuple[list[list[int]], int]:
    """The places of each question's best passages, and the number of passages. `passes` gives the
    corpus twice."""
    finder = Finder(questions, count)
    finder.learn(next(passes))
    finder.search(next(passes))
    return finder.ranked(), finder.passages
