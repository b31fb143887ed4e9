"""BM25 over texts in memory, for the distractors of training rows.

Time: to index, a pass over all words; a search, the occurrences of its words. Memory: 12 bytes an
occurrence of a word in a text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75
"""The constants of SQLite's FTS5, whose formula this is (sqlite.org/fts5.html, "The bm25()
function")."""
MANY_TEXTS = 100
COMMON = 0.1
"""Where there are MANY_TEXTS, words that stand in more than this share of them are left out: they
tell texts apart least and cost most."""
_WORD = re.compile(r"\w+")


class Bm25:
    """An index of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(words(text)) for text in texts]
        lengths = np.array([sum(count.values()) for count in counts], dtype=np.float64)
        mean = lengths.mean() if lengths.any() else 1.0
        self._shrink = K1 * (1 - B + B * lengths / mean)
        self._scores = np.zeros(len(texts))
        places: dict[str, tuple[list[int], list[int]]] = {}
        for number, count in enumerate(counts):
            for word, times in count.items():
                texts_of, times_of = places.setdefault(word, ([], []))
                texts_of.append(number)
                times_of.append(times)
        self._places = {
            word: (np.array(texts_of, np.int64), np.array(times_of, np.float32))
            for word, (texts_of, times_of) in places.items()
            if len(texts) < MANY_TEXTS or len(texts_of) <= COMMON * len(texts)
        }

    def nearest(self, query: str, count: int) -> list[tuple[int, float]]:
        """The texts that share words with a query, at most `count`, with their scores: the best
        first, of equal ones the earlier."""
        found = [self._places[word] for word in dict.fromkeys(words(query)) if word in self._places]
        if not found or count < 1:
            return []
        for texts_of, times_of in found:
            self._scores[texts_of] += self._weights(texts_of, times_of)
        touched = np.unique(np.concatenate([texts_of for texts_of, _ in found]))
        order = np.argsort(-self._scores[touched], kind="stable")[:count]
        best = [(int(number), float(self._scores[number])) for number in touched[order]]
        self._scores[touched] = 0.0
        return best

    def _weights(
        self, texts_of: NDArray[np.int64], times_of: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """What a word adds to the score of each text that it stands in."""
        holding = len(texts_of)
        rarity = np.log((len(self._scores) - holding + 0.5) / (holding + 0.5))
        gained = times_of * (K1 + 1) / (times_of + self._shrink[texts_of])
        weights: NDArray[np.float64] = max(rarity, 1e-6) * gained
        return weights


def words(text: str) -> list[str]:
    """Its words and numbers, in lower case."""
    return _WORD.findall(text.casefold())
