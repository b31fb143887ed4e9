"""A search as a reader sees it: each hit with what every arm makes of it.

score   BM25       cosine    passage
0.0328  12.310 #1  0.612 #2  Force (physics:force.pdf#9, page 3)
    The newton is the unit of force …
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from serve.passages import open_recipes_searcher
from stemma.recipe.models import Recipe
from stemma.retrieval.citations import origin
from stemma.retrieval.passages import Hit
from stemma.retrieval.quoting import drawn
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import Arm
from stemma.runs import Run
from stemma.table import aligned
from stemma.visible import tell

SHOWN_CHARACTERS = 160
"""Characters of a passage that are shown."""
NAMES: dict[Arm, str] = {"bm25": "BM25", "dense": "cosine"}
RANKED = 100
"""Ranks of each arm that are told."""


def main(recipe: Recipe, run: Run, query: str, arm: Arm | None) -> None:
    """Print the database's facts, whether a question would be answered with passages, and the
    first `rag.search.k` hits; `arm`: what orders them, None: as the database says."""
    with open_recipes_searcher(recipe, run) as (section, searcher):
        only = SearchFor(query, arm or searcher.settings.arm, not section.exclude_contaminated)
        for line in lines(searcher, only, section.search.k):
            tell(line)


@dataclass(frozen=True)
class SearchFor:
    """What is looked for."""

    query: str
    arm: Arm
    """What orders the hits."""
    with_contaminated: bool = True

    def hits(self, searcher: Searcher, count: int, arm: Arm | None = None) -> list[Hit]:
        """The first hits by the arm, or another one."""
        arm = arm or self.arm
        return searcher.search([self.query], count, arm, with_contaminated=self.with_contaminated)[
            0
        ]


def lines(searcher: Searcher, wanted: SearchFor, count: int) -> Iterator[str]:
    """The lines of a search."""
    settings = searcher.settings
    yield _told(searcher)
    if settings.threshold is not None and not wanted.hits(searcher, count, settings.arm):
        limit = f"the threshold {settings.threshold:g}"
        yield f"nothing is as relevant as {limit}: a question is answered without passages"
    # The hits are shown all the same: so one sees what the threshold keeps away.
    free = settings.model_copy(update={"threshold": None})
    shown = Searcher(searcher.database, searcher.embedder, free)
    hits = wanted.hits(shown, count)
    if not hits:
        yield "no passage shares a word with it"
        return
    arms: tuple[Arm, ...] = ("bm25", "dense") if searcher.embedder else ("bm25",)
    yield from _table(wanted.arm, hits, {one: wanted.hits(shown, RANKED, one) for one in arms})


def _told(searcher: Searcher) -> str:
    facts = searcher.database.facts
    settings = searcher.settings
    how = f"{settings.arm}"
    if settings.arm == "hybrid":
        how += f", {settings.weight:g} of it dense, k = {settings.rrf_k:g}"
    if settings.threshold is None:
        how += "; no threshold was fitted or given, so every question gets passages"
    return f"{facts.passages:,} passages ({facts.mode}); searched by {how}"


def _table(arm: Arm, hits: Sequence[Hit], ranked: Mapping[Arm, Sequence[Hit]]) -> Iterator[str]:
    """A line for each hit, and one with the beginning of its text."""
    heads = (*(["score"] if arm == "hybrid" else []), *(NAMES[one] for one in ranked), "passage")
    rows = [
        (
            *([f"{hit.score:.4f}"] if arm == "hybrid" else []),
            *(_figure(hit, found) for found in ranked.values()),
            origin(hit.passage),
        )
        for hit in hits
    ]
    head, *lines = aligned(heads, rows)
    yield head
    for line, hit in zip(lines, hits, strict=True):
        yield line
        yield f"    {_begun(hit.passage.text)}"


def _figure(hit: Hit, found: Sequence[Hit]) -> str:
    """What an arm says of a passage, and where it ranks it; `–`: it does not find it."""
    for rank, other in enumerate(found, 1):
        if other.passage.id == hit.passage.id:
            return f"{other.score:.3f} #{rank}"
    return "–"


def _begun(text: str) -> str:
    line = drawn(" ".join(text.split()))
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
