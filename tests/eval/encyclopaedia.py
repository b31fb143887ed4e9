"""A small encyclopaedia for the arms' tests: passages in memory, searched by words in common.

The search is written here so that arms can be tested without a database on disk; the prompt is the
project's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from eval.contexts import Retrieval
from eval.gold import GoldPassages
from stemma import ROOT
from stemma.retrieval.context import Contexts
from stemma.retrieval.passages import Hit, Passage

PROMPT = ROOT / "recipes/prompts/context.jinja"


@dataclass(frozen=True)
class Encyclopaedia:
    """Passages by number."""

    entries: list[Passage]

    @property
    def count(self) -> int:
        return len(self.entries)

    def passages(self, numbers: Sequence[int]) -> list[Passage]:
        return [self.entries[number] for number in numbers]

    def by_id(self, name: str) -> Passage | None:
        return next((one for one in self.entries if one.id == name), None)

    def search(self, queries: Sequence[str], k: int, arm: str | None) -> list[list[Hit]]:
        """Hits by the number of words in common; `dense` (named so only) by common letters."""
        return [self._hits(query, k, arm or "bm25") for query in queries]

    def _hits(self, query: str, k: int, arm: str) -> list[Hit]:
        def parts(text: str) -> set[str]:
            return set(re.findall(r"\w+" if arm == "bm25" else r"\w", text.lower()))

        wanted = parts(query)
        scored = [(float(len(wanted & parts(one.text))), one) for one in self.entries]
        best = sorted(scored, key=lambda pair: (-pair[0], pair[1].id))[:k]
        return [Hit(one, score, score, None) for score, one in best if score > 0]


def passages(count: int = 12) -> list[Passage]:
    """`sum 3` says what 3 + 1 and 3 + 3 are."""
    return [
        Passage(
            id=f"sum-{number}",
            title=f"Sums of {number}",
            text=f"With {number} the sum {number} + 1 is {number + 1}, and doubled {2 * number}.",
            source="sums",
            place="",
        )
        for number in range(count)
    ]


def retrieval(entries: list[Passage] | None = None, most: int = 2, **changed: object) -> Retrieval:
    """All that puts passages before questions; tokens are words here."""
    book = Encyclopaedia(passages() if entries is None else entries)
    values: dict[str, object] = {
        "search": book.search,
        "search_arms": ("bm25", "dense"),
        "database": book,
        "gold": GoldPassages(book.by_id),
        "putter": Contexts(PROMPT, lambda text: len(text.split()), 300),
        "passages": most,
        "seed": 3,
        "decides": {"database": [one.text for one in book.entries]},
    }
    return Retrieval(**values | changed)  # type: ignore[arg-type]
