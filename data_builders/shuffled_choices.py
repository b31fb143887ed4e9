"""Choices of a multiple-choice question in an order drawn by the seed, so that no letter is right
more often than the others. Questions whose choices or explanation name letters keep their order.
"""

from __future__ import annotations

import re
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
    if any(map(_OTHERS.search, row.choices)) or any(map(_LETTERS_JOINED.search, row.choices)):
        return row
    if (_LETTER_NAMED if len(row.choices) <= FEW else _ANY_LETTER_NAMED).search(row.explanation):
        return row
    order = list(LETTERS[: len(row.choices)])
    Random(f"{seed}\n{row.id}").shuffle(order)
    choices = [row.choices[LETTERS.index(letter)] for letter in order]
    answer = LETTERS[order.index(row.answer)]
    meta = {**row.meta, "order": "".join(order)}
    return row.model_copy(update={"choices": choices, "answer": answer, "meta": meta})
