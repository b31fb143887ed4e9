"""The passages that answer a question, as far as its row names them.

`meta["passage"]` holds the passage's id, or several apart by blanks; else `meta["support"]` or the
explanation of a multiple-choice question holds the text that supports the answer, as SciQ's rows
do. A support was cut into passages like any document: each hit whose words lie in it, or that holds
all of it, is the question's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stemma.retrieval.passages import Passage
from stemma.rows import McqRow

PASSAGE, SUPPORT = "passage", "support"
TELLING = 8
"""Words from which on a text within another says that both are of one place."""
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class GoldPassages:
    """The questions' own passages."""

    by_id: Callable[[str], Passage | None]
    """A passage of the database; None where it holds none of that id."""

    def of(self, row: Any) -> list[Passage]:
        """The row's own passages; none where it names none, or the database has none of them."""
        if named := str(row.meta.get(PASSAGE) or ""):
            return [found for name in named.split() if (found := self.by_id(name))]
        text = support_of(row)
        return [Passage(f"support of {row.id}", "", text, row.source, "")] if text else []

    def is_own(self, passage: Passage, gold: list[Passage]) -> bool:
        """Whether a passage is one of the question's own, by its id or by its words."""
        return any(passage.id == one.id or _overlap(passage.text, one.text) for one in gold)


def support_of(row: Any) -> str:
    """The text that supports the answer; empty where the row has none."""
    explanation = row.explanation if isinstance(row, McqRow) else ""
    return str(row.meta.get(SUPPORT) or explanation).strip()


def _overlap(passage: str, support: str) -> bool:
    found, wanted = _plain(passage), _plain(support)
    if min(len(found.split()), len(wanted.split())) < TELLING:
        return bool(found) and found == wanted
    return found in wanted or wanted in found


def _plain(text: str) -> str:
    """Its words alone, in a form in which one text is found in another."""
    return f" {' '.join(_WORDS.findall(text.lower()))} " if text.strip() else ""
