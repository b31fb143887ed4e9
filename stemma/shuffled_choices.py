"""Choices of a multiple-choice question in orders drawn by a seed: one for training, so that no
letter is right more often than the others; several for evaluation, so that a preference for a
letter shows. Questions whose choices or explanation name letters keep their order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import factorial
from random import Random

from stemma.rows import LETTERS, McqRow

# A choice that means others, or a place among them: "All of the above", "Both A and B", "(a) or
# (b)"; not "I and II".
_OTHERS = re.compile(
    r"\b(?:above|below|preceding)\b"
    r"|\b(?:all|any|both|each|either|neither|none|some) of "
    r"(?:these|those|them|the (?:other|option|choice|answer)s?)\b"
    r"|^\W*(?:all|both|either|neither|none)\W*$"
    r"|\b(?:option|choice|answer)s? \(?[a-h]\b"
    r"|\b(?:first|last) (?:two|three|option|choice|answer)"
    r"|\([a-h]\)\s*(?:,|&|and|or|nor)"
    r"|^(?:both|either|neither|only)?\s*[a-h]\s*(?:,|&|\b(?:and|or|nor)\b|\bonly\b).{0,20}$",
    re.IGNORECASE,
)
_LETTERS_JOINED = re.compile(r"\b[A-H]\s*(?:,|&|and\b|or\b|nor\b)\s*(?:and |or )?[A-H]\b")
_LETTER_NAMED = re.compile(
    r"\([A-Ja-j]\)|\b[B-HJ]\b|\b(?i:option|choice|answer|letter)s?\W{1,3}(?:is\W{1,3})?[A-Ja-j]\b"
)
_ANY_LETTER_NAMED = re.compile(
    r"\([A-Za-z]\)|\b[B-HJ-Z]\b|\b(?i:option|choice|answer|letter)s?\W{1,3}(?:is\W{1,3})?[A-Za-z]\b"
)
FEW = 10
"""With more choices than this, every single letter may name one."""


def permute_choices(row: McqRow, seed: int) -> McqRow:
    """The choices shuffled by seed and row id; `meta["order"]` says which letter each had, e.g.
    `CADB`.

    A row is left as it is where a choice refers to others, or where the explanation names letters.
    """
    if name_others(row.choices):
        return row
    if (_LETTER_NAMED if len(row.choices) <= FEW else _ANY_LETTER_NAMED).search(row.explanation):
        return row
    order = list(LETTERS[: len(row.choices)])
    Random(f"{seed}\n{row.id}").shuffle(order)
    return reordered(row, "".join(order))


def name_others(choices: Sequence[str]) -> bool:
    """Whether a choice means others, or a place among them, so that none may move."""
    return any(_OTHERS.search(one) or _LETTERS_JOINED.search(one) for one in choices)


def reordered(row: McqRow, order: str) -> McqRow:
    """The row with its choices in the order given by the letters they had, e.g. `CADB`."""
    choices = [row.choices[LETTERS.index(letter)] for letter in order]
    answer = LETTERS[order.index(row.answer)]
    meta = {**row.meta, "order": order}
    return row.model_copy(update={"choices": choices, "answer": answer, "meta": meta})


def other_orders(row: McqRow, seed: int, count: int) -> list[str]:
    """At most so many orders of the choices, drawn by seed and row id: all different, none the
    row's own. None where a choice refers to others; two choices have one other order."""
    if name_others(row.choices):
        return []
    letters = LETTERS[: len(row.choices)]
    draw = Random(f"{seed}\n{row.id}\norders")
    drawn: dict[str, None] = {}
    while len(drawn) < min(count, factorial(len(letters)) - 1):
        order = "".join(draw.sample(letters, len(letters)))
        if order != letters:
            drawn[order] = None
    return list(drawn)
