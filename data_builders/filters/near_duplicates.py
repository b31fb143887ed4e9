"""Clusters of questions that say the same with other words: they share a split, so that none leaks
into training.

datasketch's MinHash proposes who may be alike (equal in a band of hashes); an exact comparison
decides. What MinHash alone takes for the same are mostly other exercises: of 48 such pairs among
1,000 MathQA problems 47 had other numbers. So a question's numbers, negations and calculation signs
go into the hash of each of its words: questions that differ there have no hash in common and never
meet. "a train of 60 m passes" and "a train of 90 m passes" stay apart; "a raise and now makes $ 70"
and "a raise andnow makes $ 70" (a real pair) come together.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from zlib import crc32

from datasketch import MinHash, MinHashLSH

from stemma.recipe.data import NearDuplicates

FindGroups = Callable[[Collection[str], Sequence[str]], Iterable[Sequence[str]]]
"""Given the keys known before and the new ones, both sorted: groups of keys, known ones first, that
may say the same. Groups and no pairs: of 100,000 questions of one template there are 5 billion
pairs."""

TRIES = 64
"""Members of a cluster that a question is compared with, in a group, before it counts as another
one; as many clusters. In groups of up to so many the clusters are exact."""

# "one" is left out: it is a pronoun more often than a number.
_NUMBERS = {
    "two": "2",
    "three": "3",
    "four": "4",
    "five": "5",
    "six": "6",
    "seven": "7",
    "eight": "8",
    "nine": "9",
}
_NUMBERS |= {"ten": "10", "half": "half", "twice": "twice", "hundred": "100", "thousand": "1000"}
_NEGATIONS = ("not", "no", "never", "except", "cannot", "without", "false", "incorrect", "least")
# In a key of split.question_key, where tokens are divided by single blanks. A sign counts beside a
# number: the `+ +` of "C++" says nothing; "-" before a number only: "5 - year" is no sum. "=" and
# "%" are as often written out in words.
_TELLING = re.compile(
    rf"(?<!\S)(?:\d\S*|(?:{'|'.join((*_NUMBERS, *_NEGATIONS))})(?!\S)"
    r"|[-+*/^<>≤≥≠](?= \d)|(?<=\d )[+*/^<>≤≥≠](?!\S)|[!′](?!\S))"
)
_RECALL = (0.01, 0.99)
"""A needless comparison against a missed pair: with 64 permutations 99 % of pairs at the threshold
0.8 are compared."""


def shingles(key: str) -> set[str]:
    """The words of a question and its pairs of neighbouring words."""
    words = key.split()
    return {*words, *map(" ".join, pairwise(words))}


def telling(key: str) -> list[str]:
    """Numbers, negations and calculation signs, sorted: questions that differ in them ask different
    things."""
    return sorted(_NUMBERS.get(token, token) for token in _TELLING.findall(key))


def same_question(one: str, other: str, threshold: float) -> bool:
    """The exact test: equal telling tokens, and shingles that overlap by `threshold` (Jaccard)."""
    ours = shingles(one)
    theirs = shingles(other)
    return len(ours & theirs) >= threshold * len(ours | theirs) and telling(one) == telling(other)


def sketches(keys: Iterable[str], settings: NearDuplicates) -> Iterator[MinHash]:
    """The MinHash of each question's shingles, every one salted with the telling tokens."""
    return MinHash.generator(map(_hashes, keys), num_perm=settings.permutations, hashfunc=int)


def _hashes(key: str) -> list[int]:
    salt = crc32(" ".join(telling(key)).encode())
    return [crc32(shingle.encode(), salt) for shingle in shingles(key)]


def bands(settings: NearDuplicates) -> tuple[int, int]:
    """datasketch's choice of how many bands of how many hashes: sketches that agree in a whole band
    may be alike."""
    index = MinHashLSH(settings.threshold, settings.permutations, weights=_RECALL)
    return index.b, index.r


class QuestionClusters:
    """Clusters of questions that belong together. Without settings every question stands alone.

    A representative once given stays: later questions join it, and a late one that resembles two
    clusters joins one of them without uniting them. Keys added together give the same clusters in
    any order.
    """

    def __init__(
        self, settings: NearDuplicates | None, find_groups: FindGroups | None = None
    ) -> None:
        self._threshold = settings.threshold if settings else 1.0
        self._find_groups = find_groups or (
            _Buckets(settings) if settings else lambda _known, _new: ()
        )
        self._representatives: dict[str, str] = {}

    def add(self, keys: Iterable[str]) -> None:
        """Take in questions (keys of split.question_key)."""
        known = self._representatives
        new = sorted({key for key in keys if key not in known})
        joined = _Joined(new, known, self._threshold)
        for group in self._find_groups(known.keys(), new):
            joined.join(group)
        known.update(joined.representatives())

    def of(self, key: str) -> str:
        """The key that stands for this question and all that say the same; itself where it was
        never added."""
        return self._representatives.get(key, key)


class _Joined:
    """New questions on their way into clusters, of each other and beside those settled before."""

    def __init__(self, new: Sequence[str], settled: Mapping[str, str], threshold: float) -> None:
        self._settled = settled
        self._threshold = threshold
        self._parents = {key: key for key in new}
        self._beside: defaultdict[str, set[str]] = defaultdict(set)
        """The settled clusters that a new one resembles, by the new one's root."""

    def join(self, group: Sequence[str]) -> None:
        """Compares what is not yet joined; the newest first, for in sorted order they are the most
        alike."""
        clusters: dict[str, list[str]] = {}
        for key in group:
            root = self._settled[key] if key in self._settled else self._place(key, clusters)
            clusters.setdefault(root, []).append(key)

    def _place(self, key: str, clusters: dict[str, list[str]]) -> str:
        """The key's root, when it is joined with those of the clusters that it resembles."""
        united = []
        for root in list(islice(reversed(clusters), TRIES)):
            own = self._root(key)
            if root == own or root in self._beside[own]:
                continue
            if any(
                same_question(key, member, self._threshold)
                for member in clusters[root][: -TRIES - 1 : -1]
            ):
                if root in self._settled:
                    self._beside[own].add(root)
                else:
                    self._unite(root, own)
                    united.append(root)
        own = self._root(key)
        for root in united:
            if root != own:
                clusters.setdefault(own, []).extend(clusters.pop(root))
        return own

    def _root(self, key: str) -> str:
        while (parent := self._parents[key]) != key:
            self._parents[key] = self._parents[parent]
            key = parent
        return key

    def _unite(self, one: str, other: str) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self._parents[second] = first
        self._beside[first] |= self._beside.pop(second, set())

    def representatives(self) -> dict[str, str]:
        """The settled cluster that a new question joins, or the first question of its own."""
        roots = {key: self._root(key) for key in self._parents}
        return {key: min(self._beside[root], default=root) for key, root in roots.items()}


class _Buckets:
    """Finds groups in this process: the questions with an equal band. Remembers those of earlier
    calls."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._settings = settings
        self._bands, self._hashes = bands(settings)
        self._buckets: defaultdict[bytes, list[str]] = defaultdict(list)

    def __call__(self, known: Collection[str], new: Sequence[str]) -> Iterator[Sequence[str]]:
        touched: dict[bytes, None] = {}
        for key, sketch in zip(new, sketches(new, self._settings), strict=True):
            for band in range(self._bands):
                hashes = sketch.hashvalues[band * self._hashes : (band + 1) * self._hashes]
                bucket = band.to_bytes(2, "big") + hashes.astype("<u4").tobytes()
                self._buckets[bucket].append(key)
                touched[bucket] = None
        yield from (self._buckets[bucket] for bucket in touched if len(self._buckets[bucket]) > 1)
