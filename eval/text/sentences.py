"""Sentences and words of prose.

A line is a border: in replies it ends a paragraph or an item. Within a line `nupunkt` splits, which
keeps "1. Heat it", "approx. 3.5 N" and "et al." whole; it is made for English and knows no border
in Chinese or Japanese.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import nupunkt

SPLITTER = f"nupunkt {nupunkt.__version__}"

_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")

_RUN = re.compile(r"([^\w\s]{40})[^\w\s]+")
"""Signs without a letter or blank between them, as damaged weights write without end: `nupunkt`'s
time grows with the square of their number."""
_ITEM = re.compile(r"\(?\d{1,3}[.)]")


def sentences(prose: str) -> list[str]:
    """The sentences that hold a word or a number, in order."""
    split = [part for line in prose.splitlines() for part in _of_line(line)]
    return [part for part in split if _WORD.search(part)]


def _of_line(line: str) -> Iterator[str]:
    """Its sentences; the number of an item ("… 2. Cool it.") stays with what it counts."""
    number = ""
    for part in map(str, nupunkt.sent_tokenize(_RUN.sub(r"\1", line))):
        if _ITEM.fullmatch(part.strip()):
            number += part.strip() + " "
        else:
            yield number + part.strip()
            number = ""
    yield number.strip()


def words(text: str) -> list[str]:
    """Its words and numbers, in lower case."""
    return [found.casefold() for found in _WORD.findall(text)]
