"""Clusters of questions that say the same with other words: they share a part, so that none leaks into training.

datasketch's MinHash and its index propose pairs; an exact comparison decides. What MinHash alone takes for the same are
mostly other exercises: of 47 such pairs among 1,000 MathQA problems 46 had other numbers. So a question's numbers,
negations and calculation signs go into the hash of each of its words: questions that differ there have no hash in
common and never meet. "a train of 60 m passes" and "a train of 90 m passes" stay apart; "a raise and now makes $ 70"
and "a raise andnow makes $ 70" (a real pair) come together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from zlib import crc32

from datasketch import MinHash, MinHashLSH

from stemma.data_section import NearDuplicates

FindPairs = Callable[[Collection[str], Sequence[str]], Iterable[tuple[str, str]]]
"""Given the keys known before and the new ones: pairs that may say the same, each with a new key in it."""

# "one" is left out: it is a pronoun more often than a number.
_NUMBERS = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9"}
_NUMBERS |= {"ten": "10", "half": "half", "twice": "twice", "hundred": "100", "thousand": "1000"}
_NEGATIONS = ("not", "no", "never", "except", "cannot", "without", "false", "incorrect", "least")
# In a key of split.question_key, where tokens are divided by single blanks. A sign counts beside a number: the `+ +`
# of "C++" says nothing; "-" before a number only: "5 - year" is no sum. "=" and "%" are as often written out in words.
_TELLING = re.compile(
    rf"(?<!\S)(?:\d\S*|(?:{'|'.join((*_NUMBERS, *_NEGATIONS))})(?!\S)"
    r"|[-+*/^<>≤≥≠](?= \d)|(?<=\d )[+*/^<>≤≥≠](?!\S)|[!′](?!\S))"
)
_RECALL = (0.01, 0.99)
"""A needless comparison against a missed pair: with 64 permutations 99 % of pairs at the threshold 0.8 are compared."""


def shingles(key: str) -> set[str]:
    """The words of a question and its pairs of neighbouring words."""
    words = key.split()
    return {*words, *map(" ".join, pairwise(words))}


def telling(key: str) -> list[str]:
    """Numbers, negations and calculation signs, sorted: questions that differ in them ask different things."""
    return sorted(_NUMBERS.get(token, token) for token in _TELLING.findall(key))


def same_question(one: str, other: str, threshold: float) -> bool:
    """The exact test: equal telling tokens, and shingles that overlap by `threshold` (Jaccard)."""
    ours, theirs = shingles(one), shingles(other)
    return len(ours & theirs) >= threshold * len(ours | theirs) and telling(one) == telling(other)


def sketches(keys: Iterable[str], settings: NearDuplicates) -> Iterator[MinHash]:
    """The MinHash of each question's shingles, every one salted with the telling tokens."""
    return MinHash.generator(map(_hashes, keys), num_perm=settings.permutations, hashfunc=int)


def _hashes(key: str) -> list[int]:
    salt = crc32(" ".join(telling(key)).encode())
    return [crc32(shingle.encode(), salt) for shingle in shingles(key)]


def new_index(settings: NearDuplicates) -> MinHashLSH:
    """datasketch's index of `b` bands of `r` hashes: sketches that agree in a whole band are a pair."""
    return MinHashLSH(settings.threshold, settings.permutations, weights=_RECALL)


class QuestionClusters:
    """Which questions belong together. Without settings every question stands alone.

    A representative once given stays: later questions join it, and a late one that resembles two clusters joins one
    of them without uniting them. Keys added together give the same clusters in any order.
    """

    def __init__(self, settings: NearDuplicates | None, find_pairs: FindPairs | None = None) -> None:
        self._threshold = settings.threshold if settings else 1.0
        self._find_pairs = find_pairs or (_IndexedPairs(settings) if settings else lambda _known, _new: ())
        self._representatives: dict[str, str] = {}

    def add(self, keys: Iterable[str]) -> None:
        """Take in questions (keys of split.question_key)."""
        known = self._representatives
        new = sorted({key for key in keys if key not in known})
        neighbours: defaultdict[str, set[str]] = defaultdict(set)
        for one, other in set(self._find_pairs(known.keys(), new)):
            if same_question(one, other, self._threshold):
                neighbours[one].add(other)
                neighbours[other].add(one)
        for key in new:
            if key not in known:
                group = _group(key, neighbours, known)
                before = {known[member] for member in group if member in known}
                representative = min(before or group)
                known.update((member, representative) for member in group if member not in known)

    def of(self, key: str) -> str:
        """The key that stands for this question and all that say the same; itself where it was never added."""
        return self._representatives.get(key, key)


def _group(start: str, neighbours: Mapping[str, set[str]], settled: Mapping[str, str]) -> set[str]:
    """All keys that can be reached, without going through one whose cluster is settled."""
    found, waiting = {start}, [start]
    while waiting:
        key = waiting.pop()
        if key in neighbours and key not in settled:
            waiting += neighbours[key] - found
            found |= neighbours[key]
    return found


class _IndexedPairs:
    """Finds pairs in this process. The index remembers the keys of earlier calls."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._settings = settings
        self._index = new_index(settings)

    def __call__(self, known: Collection[str], new: Sequence[str]) -> Iterator[tuple[str, str]]:
        for key, sketch in zip(new, sketches(new, self._settings), strict=True):
            for other in self._index.query(sketch):
                yield key, other
            self._index.insert(key, sketch)
