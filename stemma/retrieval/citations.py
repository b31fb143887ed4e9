"""Citations in an answer, `[1]`, `[1][3]`, `[1, 3]`, and the passages that they name. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from stemma.retrieval.passages import Hit, Passage
from stemma.retrieval.quoting import drawn

_CITED = re.compile(r"\[(\d{1,4}(?:\s*[,;]\s*\d{1,4})*)\]")


@dataclass(frozen=True)
class Citations:
    """Numbers that an answer cites, each once, in the order of their first place."""

    known: list[int]
    """Of passages that stood in the context."""
    unknown: list[int]
    """Of none: the model made them up."""


def citations(answer: str, passages: int) -> Citations:
    """The numbers in square brackets of an answer that was given `passages` passages.

    Several numbers in one pair of brackets are citations only if all are known: `[0, 1]` is an
    interval.
    """
    found: list[int] = []
    for group in _CITED.findall(answer):
        numbers = [int(number) for number in re.split(r"\s*[,;]\s*", group)]
        if len(numbers) == 1 or all(1 <= number <= passages for number in numbers):
            found += numbers
    known = [number for number in dict.fromkeys(found) if 1 <= number <= passages]
    return Citations(known, [number for number in dict.fromkeys(found) if number not in known])


def listed(used: Sequence[Hit], cited: Sequence[int] = ()) -> list[str]:
    """A line for each passage that stood in the context, those that were cited marked:
    `[1]* Entropy (heat:notes.pdf#3, page 12)`."""
    return [
        f"[{number}]{'*' if number in cited else ' '} {origin(hit.passage)}"
        for number, hit in enumerate(used, 1)
    ]


def origin(passage: Passage) -> str:
    """Title, id and place of a passage, on one line, without marks that a terminal obeys; the id
    begins with the source, and tells passages of one title apart."""
    title = " ".join(passage.title.split())
    place = ", ".join(filter(None, (passage.id, passage.place)))
    return drawn(f"{title} ({place})" if title else place)
