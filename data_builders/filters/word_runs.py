"""The runs of words that texts and questions have in common, found by comparing hashes of word
windows with numpy.

`RunIndex` numbers every different window of `run` words in the questions, and every different run
of `ngram` words all of whose windows count. `hits` says which of them a text holds, read off the
words themselves where the hashes agree.

Every exam has "which of the following is most likely to" and "I only, II only, I and II only": a
window of 8 says something if two of its words do, and only such windows count.

Each exam has its own boilerplate, too: "For the question, mark the box that corresponds to the
correct answer". A window says nothing if MANY or more different questions have it beyond one
template:

- Different questions: those that differ in more than their numbers. A hundred instances of one
  exercise are one.
- Beyond one template: those that have a whole telling window for themselves, away from all that
  MANY share. Where one text with gaps makes the questions ("How fast does copper rust?", "How fast
  does iron rust?"), that text is what they ask, and they have no more than words for themselves.

What a question has for itself finds it all the same; one that would keep nothing keeps all. MANY is
5: the same exercise comes back three or four times, in other papers or with other options.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain, repeat

import numpy as np
from numpy.typing import NDArray

from data_builders.split import FRAME

Words = Sequence[str]
Integers = NDArray[np.int64]
Hashes = NDArray[np.uint64]

MANY = 5
"""Different questions with a window, from which on it is boilerplate."""

NOTHING = -1
"""Stands where no run begins that counts."""

_PREFILTER_BITS = 24
_SHIFT = np.uint64(64 - _PREFILTER_BITS)
_OUTSIDE = 0
"""Stands for a word that no question has, and for the border between texts."""


@dataclass(frozen=True)
class Hits:
    """The numbers of the different runs of a text that questions have too. `text` is its place."""

    text: int
    windows: list[int]
    ngrams: list[int]


@dataclass(frozen=True)
class Runs:
    """All different runs of one length in the questions. A run's number is its place in `hashes`,
    which is sorted."""

    length: int
    hashes: Hashes
    example: Integers
    """The place in the questions' words where each stands, once."""
    at: Integers
    """The run that begins at each place of the questions' words, or NOTHING."""
    starts: Integers
    questions: Integers
    """Run r is in the questions questions[starts[r] : starts[r + 1]], which are sorted."""

    @classmethod
    def of(cls, length: int, places: Integers, hashes: Hashes, owners: Integers) -> Runs:
        """`places` where runs begin, with their hashes; `owners` says whose each word is."""
        different, example, which = np.unique(hashes, return_index=True, return_inverse=True)
        at = np.full(len(owners), NOTHING)
        at[places] = which
        many = int(owners[-1]) + 1 if len(owners) else 1
        held = np.unique(which * many + owners[places])
        starts = np.searchsorted(held, np.arange(len(different) + 1) * many)
        return cls(length, different, places[example], at, starts, held % many)

    def holders(self, run: int) -> Integers:
        """The questions that have this run."""
        return self.questions[self.starts[run] : self.starts[run + 1]]

    @cached_property
    def counts(self) -> Integers:
        """How many questions have each run."""
        return np.diff(self.starts)

    @cached_property
    def classes(self) -> Integers:
        """Equal for runs that the very same questions have, such as all runs of a template."""
        each = np.random.default_rng(1).integers(
            2**64, size=len(self.questions) + 1, dtype=np.uint64
        )
        if not len(self.hashes):
            return np.zeros(0, dtype=np.int64)
        signatures = np.add.reduceat(each[self.questions], self.starts[:-1])
        return np.unique(signatures, return_inverse=True)[1]


class RunIndex:
    """The windows of `run` words and the runs of `ngram` words of all questions."""

    def __init__(self, questions: Sequence[Words], run: int, ngram: int) -> None:
        self._ids: dict[str, int] = {}
        for words in questions:
            for word in words:
                self._ids.setdefault(word, len(self._ids) + 1)
        generator = np.random.default_rng(0)
        self._hash_of_word = generator.integers(2**64, size=len(self._ids) + 1, dtype=np.uint64)
        self._factor = generator.integers(2**64, dtype=np.uint64) | np.uint64(1)
        self._words, self.owners = self._numbered(questions)
        says = np.array([False, *(word not in FRAME for word in self._ids)])
        whole = _per_window(self._words == _OUTSIDE, run) == 0
        counts = whole & (_per_window(says[self._words], run) * 4 >= run)
        mute = self._boilerplate(questions, self._runs(run, np.flatnonzero(counts)))
        self.own = ~_reached(mute, run)
        """Which of the questions' words are no boilerplate."""
        counts &= ~mute
        inside = ngram - run + 1
        self.windows = self._runs(run, np.flatnonzero(counts))
        self.ngrams = self._runs(ngram, np.flatnonzero(_per_window(counts, inside) == inside))
        self._prefilter = np.zeros(2**_PREFILTER_BITS, dtype=bool)
        self._prefilter[self.windows.hashes >> _SHIFT] = True

    def hits(self, texts: Sequence[Words]) -> Iterator[Hits]:
        """The runs that each text shares with any question; texts that share nothing are left
        out."""
        words, owners = self._numbered(texts)
        starts = np.flatnonzero(self._prefilter[self._all_hashes(words) >> _SHIFT])
        starts, windows = self._found(self.windows, words, starts)
        begins = np.zeros(len(words) + self.ngrams.length, dtype=bool)
        begins[starts] = True
        both = starts[begins[starts + self.ngrams.length - self.windows.length]]
        both, ngrams = self._found(self.ngrams, words, both)
        of_windows = _per_owner(owners[starts], windows)
        of_ngrams = _per_owner(owners[both], ngrams)
        for text, found in of_windows.items():
            yield Hits(text, found, of_ngrams.get(text, []))

    def _boilerplate(self, questions: Sequence[Words], windows: Runs) -> NDArray[np.bool_]:
        """Where a window begins that says nothing as too many questions have it."""
        known: dict[tuple[str, ...], int] = {}
        templates = np.array(
            [known.setdefault(_without_numbers(words), len(known)) for words in questions], np.int64
        )
        template = templates[self.owners] if len(templates) else self.owners
        telling = windows.at != NOTHING
        common = _holders_at(windows, np.flatnonzero(telling), template) >= MANY
        per_question = partial(_per_question, self.owners)
        shared = _per_window(_reached(common, windows.length), windows.length) > 0
        alone = per_question(telling & ~shared) > 0
        mute = _holders_at(windows, np.flatnonzero(telling & alone[self.owners]), template) >= MANY
        return mute & (per_question(telling & ~mute) > 0)[self.owners]

    def _numbered(self, many: Sequence[Words]) -> tuple[Integers, Integers]:
        """All words as numbers in one array with borders between, and whose word each is."""
        lengths = np.fromiter((len(words) + 1 for words in many), dtype=np.int64, count=len(many))
        words = chain.from_iterable((*words, "") for words in many)
        size = int(lengths.sum())
        numbers = np.fromiter(map(self._ids.get, words, repeat(_OUTSIDE)), np.int64, count=size)
        return numbers, np.repeat(np.arange(len(many)), lengths)

    def _runs(self, length: int, places: Integers) -> Runs:
        return Runs.of(length, places, self._hashes(self._words, places, length), self.owners)

    def _found(self, runs: Runs, words: Integers, starts: Integers) -> tuple[Integers, Integers]:
        """Those of the starts where one of the runs stands, word for word, and which."""
        if not len(runs.hashes) or not len(starts):
            return starts[:0], starts[:0]
        hashes = self._hashes(words, starts, runs.length)
        which = np.minimum(np.searchsorted(runs.hashes, hashes), len(runs.hashes) - 1)
        equal = runs.hashes[which] == hashes
        padded = _padded(words, runs.length)
        for place in range(runs.length):
            equal &= padded[starts + place] == self._words[runs.example[which] + place]
        return starts[equal], which[equal]

    def _hashes(self, words: Integers, starts: Integers, length: int) -> Hashes:
        """A polynomial hash of the run that starts at each of these places."""
        padded = _padded(words, length)
        hashes = np.zeros(len(starts), dtype=np.uint64)
        for place in range(length):
            hashes *= self._factor
            hashes += self._hash_of_word[padded[starts + place]]
        return hashes

    def _all_hashes(self, words: Integers) -> Hashes:
        """The same for the window at every place, without gathering."""
        length = self.windows.length
        single = self._hash_of_word[_padded(words, length)]
        hashes = np.zeros(len(words), dtype=np.uint64)
        for place in range(length):
            hashes *= self._factor
            hashes += single[place : place + len(words)]
        return hashes


def _without_numbers(words: Words) -> tuple[str, ...]:
    return tuple("0" if word[0].isdigit() else word for word in words)


def _holders_at(windows: Runs, places: Integers, template: Integers) -> Integers:
    """Of how many templates the windows at these places are, told where each window begins; 0 where
    none does."""
    many = int(template.max(initial=0)) + 1
    held = np.unique(windows.at[places] * many + template[places])
    counts = np.bincount(held // many, minlength=len(windows.hashes) + 1)
    return counts[windows.at]  # NOTHING points to the last, which has none


def _per_question(owners: Integers, flags: NDArray[np.bool_]) -> Integers:
    """How many flags each question has."""
    return np.bincount(owners[flags], minlength=int(owners.max(initial=0)) + 1)


def _reached(begun: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Which words lie in a window that begins at one of these places."""
    total = np.r_[0, np.cumsum(begun)]
    ends = np.arange(1, len(total))
    reached: NDArray[np.bool_] = total[ends] > total[np.maximum(ends - length, 0)]
    return reached


def _padded(words: Integers, length: int) -> Integers:
    """The last runs go into nothing."""
    return np.r_[words, np.full(length, _OUTSIDE)]


def _per_window(flags: NDArray[np.bool_], length: int) -> Integers:
    """How many flags are set in the window that starts at each place."""
    total = np.r_[0, np.cumsum(flags)]
    return total[np.minimum(np.arange(length, len(flags) + length), len(flags))] - total[:-1]


def _per_owner(owners: Integers, runs: Integers) -> dict[int, list[int]]:
    """The different runs of each owner, sorted."""
    if not len(owners):
        return {}
    many = int(runs.max()) + 1
    pairs = np.unique(owners * many + runs)
    begins = np.flatnonzero(np.r_[True, np.diff(pairs // many) != 0])
    ends = [*begins[1:].tolist(), len(pairs)]
    found = (pairs % many).tolist()
    whose = (pairs[begins] // many).tolist()
    return {
        owner: found[begin:end]
        for owner, begin, end in zip(whose, begins.tolist(), ends, strict=True)
    }
