"""Rows that say again what another row of their question says, but for layout, articles or a slip
of the pen.

"The force is 6 N." and "the force is  6 N" are copies; "by centering" and "by scaling" behind a
long preamble are not.
"""

from __future__ import annotations

import re
from bisect import bisect, insort
from collections.abc import Hashable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby, starmap

from rapidfuzz.distance import OSA, Levenshtein
from rapidfuzz.fuzz import ratio

from data_builders.flow import Placed
from data_builders.split import Filtered, cased
from data_builders.transforms import choices, grouped, right_choice, without
from stemma.rows import CorpusRow, McqRow, PreferenceRow, SftRow

NEAR = 95.0
"""Percent of characters that two texts must share, in order, to be near copies."""

NEIGHBOURS = 64
"""Rows of a question before and behind a row that it is compared with, in two orders."""

TYPO_LETTERS = 5
"""From so many letters on, a word with one letter too many, or two swapped, is the same word."""
_PIECES = re.compile(r"\\[A-Za-z]+|\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]|_")
"""LaTeX commands, numbers, words, signs."""
_IDLE = frozenset({"a", "an", "the", ",", ".", ";", ":", "?", '"', "“", "”"})

_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")


def drop_near_copies(rows: Sequence[Placed]) -> Filtered:
    """Drop rows that repeat another row of the same question, split and set but for a few
    characters.

    Texts with different numbers are never copies, and choices must be equal as a set, the right one
    too.
    """
    copies: list[Placed] = []
    for group in grouped(rows, _must_be_equal).values():
        originals = _Originals()
        for placed in group:
            texts = _compared(placed)
            if any(all(map(_is_near, texts, original)) for original in originals.beside(texts)):
                copies.append(placed)
            else:
                originals.add(texts)
    return without(rows, copies, "near copy of another row")


class _Originals:
    """Texts of one question, in order by how they begin and by how they end (the sorted
    neighbourhood method).

    A text is compared with its NEIGHBOURS in both orders: with all where there are few, and not
    with a thousand others where a template has made them.
    """

    def __init__(self) -> None:
        self._by_begin: list[tuple[str, tuple[str, ...]]] = []
        self._by_end: list[tuple[str, tuple[str, ...]]] = []

    def add(self, texts: tuple[str, ...]) -> None:
        insort(self._by_begin, ("\n".join(texts), texts))
        insort(self._by_end, ("\n".join(texts)[::-1], texts))

    def beside(self, texts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The nearest in each order."""
        joined = "\n".join(texts)
        for ordered, key in ((self._by_begin, joined), (self._by_end, joined[::-1])):
            place = bisect(ordered, (key, texts))
            yield from (
                other for _, other in ordered[max(place - NEIGHBOURS, 0) : place + NEIGHBOURS]
            )


def _must_be_equal(placed: Placed) -> Hashable:
    numbers = tuple(tuple(_DIGITS.findall(text)) for text in _compared(placed))
    answer = (
        (right_choice(placed), placed.row.answer_as) if isinstance(placed.row, McqRow) else None
    )
    return placed.kind, placed.split, placed.cluster, choices(placed), answer, numbers


def _compared(placed: Placed) -> tuple[str, ...]:
    match placed.row:
        case SftRow(messages=messages):
            return tuple(message.content for message in messages)
        case PreferenceRow(prompt=prompt, chosen=chosen, rejected=rejected):
            return prompt, chosen, rejected
        case McqRow(question=question, explanation=explanation):
            return question, explanation
        case CorpusRow(text=text):
            return (text,)


def _is_near(one: str, other: str) -> bool:
    """Whether texts differ in nothing but layout, case that means nothing, articles, and the
    spelling of long words.

    What differs decides, not how much is shared: exam questions with one long preamble differ in a
    word.
    """
    if cased(one) != cased(other):
        return False
    ours = _pieces(one)
    theirs = _pieces(other)
    if ours == theirs or (_said(ours) and _said(ours) == _said(theirs)):  # however short
        return True
    if not ratio(one, other, score_cutoff=NEAR):  # far quicker, and nearly always enough
        return False
    return all(starmap(_means_the_same, _changed(ours, theirs)))


@lru_cache(maxsize=4096)  # a text is held against every other of its question
def _pieces(text: str) -> list[str]:
    return _PIECES.findall(text.casefold())


def _said(pieces: Sequence[str]) -> list[str]:
    return [piece for piece in pieces if piece not in _IDLE]


def _changed(
    ours: Sequence[str], theirs: Sequence[str]
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """The stretches in which two lists differ, each with what stands in its place."""
    for equal, stretch in groupby(
        Levenshtein.opcodes(ours, theirs), key=lambda edit: edit.tag == "equal"
    ):
        edits = list(stretch)
        if not equal:
            first = edits[0]
            last = edits[-1]
            yield ours[first.src_start : last.src_end], theirs[first.dest_start : last.dest_end]


def _means_the_same(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether two stretches differ in articles, closing marks, blanks or one slip of the pen
    only."""
    one, other = (
        "".join(piece for piece in pieces if piece not in _IDLE) for pieces in (ours, theirs)
    )
    if one == other:
        return True
    long = max(len(one), len(other)) >= TYPO_LETTERS
    return long and (one + other).isalpha() and one[0] == other[0] and _is_slip(one, other)


def _is_slip(one: str, other: str) -> bool:
    """A letter too many, or two letters swapped; another letter in its place makes another word
    (affect, effect)."""
    return OSA.distance(one, other) == 1 and (
        len(one) != len(other) or sorted(one) == sorted(other)
    )
