"""Runs of words that questions and texts have in common, found by comparing hashes of word windows with numpy.

For "a b c d e f" and the text "x b c d e y" with windows of 3: the windows "b c d" and "c d e" are shared, so 4 of 6
words are covered and the longest run is 4. `RunIndex` proposes pairs by hash; `shared` counts on the words themselves.

Every exam has "which of the following is most likely to" and "I only, II only, I and II only": a window of 8 says
something if two of its words do, and only such windows count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

Words = Sequence[str]
Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

_FRAME = """
a about above all also an and any are as at be been being below best both but by can correct could describes did do
does each either every example except false following for from had has have how i if ii iii in incorrect into is it
its iv least likely may more most must neither no none nor not of on one only or other should some statement
statements than that the their them then there these they this those to true v was we were what when where which who
why will with would you your
"""
FRAME = frozenset(_FRAME.split())
"""Words of grammar and of exam papers."""

_SIEVE_BITS = 24
_SHIFT = np.uint64(64 - _SIEVE_BITS)
_OUTSIDE = 0
"""Stands for a word that no question has, and for the border between texts."""


@dataclass(frozen=True)
class Shared:
    """How many of a question's words lie in runs shared with a text, and the longest such run."""

    covered: int
    longest: int


def shared(question: Words, text: Words, run: int) -> Shared:
    """The plain definition, quick enough for the pairs that an index proposes."""
    places = defaultdict(list)
    for start in range(len(text) - run + 1):
        places[tuple(text[start : start + run])].append(start)
    covered: set[int] = set()
    longest, ending = 0, dict[int, int]()
    for start in range(len(question) - run + 1):
        window = tuple(question[start : start + run])
        met = places.get(window, ()) if says_something(window) else ()
        ending = {place: ending.get(place - 1, run - 1) + 1 for place in met}
        longest = max(longest, *ending.values()) if ending else longest
        covered.update(range(start, start + run) if ending else ())
    return Shared(len(covered), longest)


def says_something(window: Words) -> bool:
    """Whether a quarter of the words are others than every exam paper has."""
    return sum(word not in FRAME for word in window) * 4 >= len(window)


class RunIndex:
    """The windows of `run` words of all questions, by hash."""

    def __init__(self, questions: Sequence[Words], run: int) -> None:
        self._run = run
        self._numbers: dict[str, int] = {}
        for words in questions:
            for word in words:
                self._numbers.setdefault(word, len(self._numbers) + 1)
        generator = np.random.default_rng(0)
        self._hash_of_word = generator.integers(2**64, size=len(self._numbers) + 1, dtype=np.uint64)
        self._factor = generator.integers(2**64, dtype=np.uint64) | np.uint64(1)
        numbers, owners = self._numbered(questions)
        hashes = self._windows(numbers)
        says = np.array([False, *(word not in FRAME for word in self._numbers)])
        whole = _per_window(numbers == _OUTSIDE, run) == 0
        inside = np.flatnonzero(whole & (_per_window(says[numbers], run) * 4 >= run))
        self._owner = owners
        self._places = inside[np.argsort(hashes[inside], kind="stable")]
        self._hashes = hashes[self._places]
        self._sieve = np.zeros(2**_SIEVE_BITS, dtype=bool)
        self._sieve[self._hashes >> _SHIFT] = True

    def propose(self, texts: Sequence[Words]) -> Iterator[tuple[int, int, Shared]]:
        """(text, question, what they share by hash) for each pair with a window in common."""
        numbers, owners = self._numbered(texts)
        hashes = self._windows(numbers)
        starts = np.flatnonzero(self._sieve[hashes >> _SHIFT])
        first = np.searchsorted(self._hashes, hashes[starts], side="left")
        count = np.searchsorted(self._hashes, hashes[starts], side="right") - first
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        places = self._places[np.repeat(first, count) + within]
        pairs = np.unique(np.repeat(owners[starts], count) * len(self._owner) + places)
        yield from self._measure(pairs // len(self._owner), pairs % len(self._owner))

    def _measure(self, texts: Integers, places: Integers) -> Iterator[tuple[int, int, Shared]]:
        """From the places of shared windows (sorted, by text): per text and question the words covered and in a row."""
        if not len(places):
            return
        questions = self._owner[places]
        changes = (np.diff(texts) != 0) | (np.diff(questions) != 0)
        steps = np.diff(places)
        begins = np.flatnonzero(np.r_[True, changes])
        added = np.r_[np.where(changes, self._run, np.minimum(steps, self._run)), self._run]
        covered = np.add.reduceat(added, begins)
        breaks = np.flatnonzero(np.r_[True, changes | (steps != 1)])
        in_a_row = np.diff(np.r_[breaks, len(places)]) + self._run - 1
        longest = np.maximum.reduceat(in_a_row, np.searchsorted(breaks, begins))
        columns = (texts[begins], questions[begins], covered, longest)
        for text, question, words, row in zip(*(column.tolist() for column in columns), strict=True):
            yield text, question, Shared(words, row)

    def _numbered(self, many: Sequence[Words]) -> tuple[Integers, Integers]:
        """All words as numbers in one array with borders between, and whose word each is."""
        lengths = np.fromiter((len(words) + 1 for words in many), dtype=np.int64, count=len(many))
        words = chain.from_iterable((*words, "") for words in many)
        numbers = np.fromiter(map(self._numbers.get, words, repeat(_OUTSIDE)), np.int64, count=int(lengths.sum()))
        return numbers, np.repeat(np.arange(len(many)), lengths)

    def _windows(self, numbers: Integers) -> Hashes:
        """A polynomial hash of the window that starts at each place; the last ones run into nothing."""
        words = np.r_[self._hash_of_word[numbers], np.zeros(self._run, dtype=np.uint64)]
        hashes = np.zeros(len(numbers), dtype=np.uint64)
        for place in range(self._run):
            hashes *= self._factor
            hashes += words[place : place + len(numbers)]
        return hashes


def _per_window(flags: NDArray[np.bool_], run: int) -> Integers:
    """How many flags are set in the window that starts at each place."""
    total = np.r_[0, np.cumsum(flags)]
    return total[np.minimum(np.arange(run, len(flags) + run), len(flags))] - total[:-1]
