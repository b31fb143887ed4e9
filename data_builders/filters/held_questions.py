"""The search for questions in texts by the rules `n-gram` and `coverage` of `decontaminate`, in
time that grows with the texts and not with texts × questions.

Rows made from one template share most of their runs of words with every question of that template,
so the runs alone say little there. Three things keep the work per text small:

- The numbers come first: of the exercises with other numbers (see `number_sets`) none is looked at.
- A run that FREQUENT or more questions have is not followed to each of them. The n-gram rule needs
  one look at the questions with that run and these numbers. For coverage, questions that are alike
  but for their rare runs (one `Skeletons` entry) are measured once, and once for all texts that
  have the same frequent runs. (Texts that are each put together from frequent sentences and words
  of their own share no such pattern: there four times the rows take six to seven times as long.)
- A text names the first MOST questions that it holds, those by the stronger rule first. It goes
  anyway, and a list of every row × every question of a template would itself be quadratic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set
from heapq import nsmallest
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from data_builders.filters.number_sets import NumberSets
from data_builders.filters.word_runs import NOTHING, Integers, RunIndex, Runs, Words
from stemma.recipe.data import Decontaminate

HeldRule = Literal["n-gram", "coverage"]

RUN = 8
"""The shortest run of words that counts for coverage."""

MOST = 10
"""Questions that are told of one text or row, at most."""

FREQUENT = 16
"""Questions with a run, from which on it is not followed to each of them."""

_LARGE = 64
"""Questions with the same numbers, from which on they are sorted into skeletons."""

_AT_ONCE = 4096
"""Questions that are measured together, at most: bounds the memory of a step."""

_FIRST = 256
"""Skeletons that are looked at first; then twice as many from step to step, up to _AT_ONCE."""

_PATTERNS = 1000
"""Patterns of frequent runs that are remembered."""


def numbers_of(words: Words) -> frozenset[str]:
    """The words that are numbers."""
    return frozenset(word for word in words if word[0].isdigit())


class HeldQuestions:
    """Questions, indexed once to look for them in many texts."""

    def __init__(
        self, questions: Sequence[Words], stems: Sequence[Words], settings: Decontaminate
    ) -> None:
        """`questions`: the words of each stem with its options; `stems`: of the stem alone."""
        index = RunIndex(questions, min(RUN, settings.ngram), settings.ngram)
        self._index = index
        self._sets = NumberSets([numbers_of(stem) for stem in stems])
        self._by_ngram = _Holders(index.ngrams, self._sets.of)
        lengths = np.array([len(words) for words in questions], dtype=np.int64)
        # With n-grams as short as a window the other rule never says more.
        wanted = settings.ngram > RUN
        measure = Measure(index, lengths, settings.coverage)
        self._coverage = _Coverage(measure, self._sets.of) if wanted else None

    def find(self, texts: Sequence[Words]) -> Iterator[tuple[int, dict[int, HeldRule]]]:
        """(text, the first MOST questions that it holds), for texts that hold any."""
        for hits in self._index.hits(texts):
            allowed = frozenset(self._sets.within(numbers_of(texts[hits.text])))
            if not allowed:
                continue
            found: dict[int, HeldRule] = dict.fromkeys(
                self._by_ngram.of(hits.ngrams, allowed), "n-gram"
            )
            if self._coverage and len(found) < MOST:
                for question in self._coverage.of(hits.windows, allowed):
                    found.setdefault(question, "coverage")
            if found:
                yield hits.text, dict(list(found.items())[:MOST])


class _Holders:
    """The questions that have one of some runs, with numbers that are allowed."""

    def __init__(self, runs: Runs, set_of: Sequence[int]) -> None:
        self._runs = runs
        self._set_of = set_of
        self._by_class: dict[int, dict[int, list[int]]] = {}

    def of(self, runs: Sequence[int], allowed: Set[int]) -> list[int]:
        """The first MOST, sorted."""
        found: set[int] = set()
        frequent = dict[int, int]()
        for run in runs:
            if self._runs.counts[run] < FREQUENT:
                found |= self.rare(run, allowed)
            else:
                frequent[int(self._runs.classes[run])] = run
        for run in frequent.values():
            by_set = self._by_set(run)
            fewer, more = sorted((allowed, by_set.keys()), key=len)
            met = chain.from_iterable(by_set[numbers] for numbers in fewer if numbers in more)
            found.update(nsmallest(MOST, met))
        return nsmallest(MOST, found)

    def rare(self, run: int, allowed: Set[int]) -> set[int]:
        """All that have this run."""
        holders = self._runs.holders(run).tolist()
        return {question for question in holders if self._set_of[question] in allowed}

    def _by_set(self, run: int) -> dict[int, list[int]]:
        """The first of each set of numbers; worked out once for all runs with the same
        questions."""
        key = int(self._runs.classes[run])
        if key not in self._by_class:
            by_set = self._by_class[key] = defaultdict[int, list[int]](list)
            for question in self._runs.holders(run).tolist():
                same = by_set[self._set_of[question]]
                if len(same) < MOST:
                    same.append(question)
        return self._by_class[key]


class Measure:
    """A count of how many of a question's own words lie in windows that a text holds, for many
    questions at once."""

    def __init__(self, index: RunIndex, lengths: Integers, coverage: float) -> None:
        """`lengths`: the questions' words. `coverage`: the share of them, without boilerplate, that
        is needed."""
        self.windows = index.windows
        self.lengths = lengths
        self._own = index.own
        self._begins = np.cumsum(lengths + 1) - (lengths + 1)
        own = np.r_[0, np.cumsum(index.own)]
        counted = own[self._begins + lengths] - own[self._begins]
        self._needed = np.where(
            counted > 0, coverage * counted, np.inf
        )  # of boilerplate alone nothing is enough
        self.held = np.zeros(len(self.windows.hashes) + 1, dtype=bool)
        """Which windows the text at hand has; the last, which NOTHING points to, stays False."""

    def places(self, question: int) -> Integers:
        """The window that begins at each of its words."""
        begin = self._begins[question]
        return self.windows.at[begin : begin + self.lengths[question]]

    def own(self, question: int) -> NDArray[np.bool_]:
        """Which of its words are no boilerplate."""
        begin = self._begins[question]
        return self._own[begin : begin + self.lengths[question]]

    def enough(self, questions: Integers) -> NDArray[np.bool_]:
        """Whether the windows held cover the share that is needed. No question may be empty."""
        parts = [questions[at : at + _AT_ONCE] for at in range(0, len(questions), _AT_ONCE)]
        covered = [self._covered(part) for part in parts]
        return np.concatenate([[], *covered]) >= self._needed[questions]

    def _covered(self, questions: Integers) -> Integers:
        lengths = self.lengths[questions]
        firsts = np.cumsum(lengths) - lengths
        places = np.repeat(self._begins[questions] - firsts, lengths) + np.arange(lengths.sum())
        begun = np.r_[0, np.cumsum(self.held[self.windows.at[places]])]
        ends = np.arange(1, len(begun))
        # A window never goes beyond its question, so none reaches into the next one here.
        inside = (begun[ends] > begun[np.maximum(ends - self.windows.length, 0)]) & self._own[
            places
        ]
        return np.add.reduceat(inside, firsts, dtype=np.int64)


class _Coverage:
    """The questions whose words a text's windows cover."""

    def __init__(self, measure: Measure, set_of: Sequence[int]) -> None:
        self._measure = measure
        self._holders = _Holders(measure.windows, set_of)
        self._frequent = measure.windows.counts >= FREQUENT
        self._small, self._large = self._by_numbers(set_of)

    def _by_numbers(
        self, set_of: Sequence[int]
    ) -> tuple[dict[int, list[int]], dict[int, Skeletons]]:
        """By set of numbers: the questions that frequent windows alone can cover enough of."""
        measure = self._measure
        filled = np.flatnonzero(measure.lengths)
        measure.held[:-1] = self._frequent
        able = filled[measure.enough(filled)]
        by_set = defaultdict[int, list[int]](list)
        for question in able.tolist():
            by_set[set_of[question]].append(question)
        large = {
            numbers: Skeletons(measure, self._frequent, same)
            for numbers, same in by_set.items()
            if len(same) > _LARGE
        }
        measure.held[:] = False
        return {n: same for n, same in by_set.items() if n not in large}, large

    def of(self, windows: Sequence[int], allowed: Set[int]) -> list[int]:
        """The first MOST, sorted."""
        held = self._measure.held
        all_windows = np.array(windows)
        frequent = all_windows[self._frequent[all_windows]]
        rare = all_windows[~self._frequent[all_windows]]
        candidates: set[int] = set().union(*(self._holders.rare(w, allowed) for w in rare.tolist()))
        found: list[int] = []
        held[frequent] = True
        if len(frequent):
            pattern = frozenset(frequent.tolist())
            for numbers in allowed & self._large.keys():
                found += self._large[numbers].covered_by(pattern)
            for numbers in allowed & self._small.keys():
                candidates.update(self._small[numbers])
        held[rare] = True
        if candidates:
            asked = np.array(sorted(candidates))
            found += asked[self._measure.enough(asked)].tolist()
        held[all_windows] = False
        return nsmallest(MOST, set(found))


class Skeletons:
    """Many questions with the same numbers, those together that differ in rare windows only."""

    def __init__(
        self, measure: Measure, frequent: NDArray[np.bool_], questions: Sequence[int]
    ) -> None:
        """`frequent` says which windows are; each of the sorted questions can be covered by
        them."""
        self._measure = measure
        alike = defaultdict[bytes, list[int]](list)
        for question in questions:
            places = measure.places(question)
            seen = np.where(frequent[places], places, NOTHING)
            alike[seen.tobytes() + measure.own(question).tobytes()].append(question)
        self._members = [same[:MOST] for same in alike.values()]  # by their first question
        self._firsts = np.array([same[0] for same in self._members])
        having = defaultdict[int, list[int]](list)
        for number, first in enumerate(self._firsts.tolist()):
            for window in set(measure.places(first).tolist()) - {NOTHING}:
                if frequent[window]:
                    having[window].append(number)
        self._having = {window: np.array(numbers) for window, numbers in having.items()}
        self._known: dict[frozenset[int], list[int]] = {}

    def covered_by(self, pattern: Set[int]) -> list[int]:
        """The first MOST questions that these frequent windows cover, which `measure.held` has,
        too."""
        own = frozenset(pattern & self._having.keys())
        if own not in self._known:
            if len(self._known) >= _PATTERNS:
                self._known.clear()
            self._known[own] = self._first_covered(own)
        return self._known[own]

    def _first_covered(self, windows: Set[int]) -> list[int]:
        """Looked for from the first skeleton on, some at a time, and only until there are enough: a
        pattern that nearly every text has for itself is not held against all."""
        found: list[int] = []
        met = [self._having[window] for window in windows]
        begin = 0
        end = _FIRST
        while met and begin < len(self._firsts):
            if len(found) == MOST and found[-1] < self._firsts[begin]:
                break
            waiting = np.unique(np.concatenate([_between(numbers, begin, end) for numbers in met]))
            if len(waiting):
                for skeleton in waiting[self._measure.enough(self._firsts[waiting])].tolist():
                    found += self._members[skeleton]
                found = nsmallest(MOST, found)
            begin, end = end, end + min(2 * (end - begin), _AT_ONCE)
        return found


def _between(numbers: Integers, begin: int, end: int) -> Integers:
    """Those of sorted numbers that lie there."""
    first, last = np.searchsorted(numbers, (begin, end))
    return numbers[first:last]
