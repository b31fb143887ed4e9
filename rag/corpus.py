"""The passages of all sources of a recipe, streamed: read again for each pass, never held."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rag.cutting import Sizes, cut
from rag.documents import Skipped
from rag.sources import Reader, readers
from stemma.errors import Problem, UserError
from stemma.recipe.rag import RagSection
from stemma.retrieval.passages import Passage

_NUMBER = re.compile(r"(?<![\w-])\d+\b")
"""A number of its own: not that of `UTF-8`, nor a byte's."""
SKIPPED_KEPT = 100_000
"""Skipped documents that are listed; all are counted."""


@dataclass
class SourceRead:
    """What was read of one source: documents = cut + skipped."""

    documents: int = 0
    passages: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """By reason, without the numbers in it."""


class Corpus:
    """The passages of a recipe's sources, in their order."""

    def __init__(self, section: RagSection, root: Path) -> None:
        self.section = section
        self.root = root
        self.read: dict[str, SourceRead] = {}
        """Of the last pass."""
        self.skipped: list[Skipped] = []
        self._readers: dict[str, Reader] = readers()

    def passages(self) -> Iterator[Passage]:
        """Every passage. Raises UserError where there is none at all."""
        self.read = {source.called: SourceRead() for source in self.section.sources}
        self.skipped = []
        sizes = Sizes(self.section.passage_words, self.section.overlap_words)
        for source in self.section.sources:
            read = self.read[source.called]
            for found in self._readers[source.source].read(source, self.root):
                read.documents += 1
                if isinstance(found, Skipped):
                    self._skip(read, found)
                    continue
                for passage in cut(found, sizes, source.called):
                    read.passages += 1
                    yield passage
        self._refuse_nothing()

    def _skip(self, read: SourceRead, skipped: Skipped) -> None:
        read.skipped[_NUMBER.sub("N", skipped.reason)] += 1
        if len(self.skipped) < SKIPPED_KEPT:
            self.skipped.append(skipped)

    def _refuse_nothing(self) -> None:
        if any(read.passages for read in self.read.values()):
            return
        problems = []
        for number, source in enumerate(self.section.sources):
            read = self.read[source.called]
            reasons = ", ".join(f"{count} {why}" for why, count in read.skipped.most_common(3))
            found = f"no passages in `{source.path}`: {read.documents} documents"
            found += f" ({reasons})" if reasons else ""
            expected = "documents with text"
            problems.append(Problem(f"rag.sources[{number}]", found, expected))
        raise UserError(problems)

    def texts(self) -> Iterator[str]:
        """What is searched of every passage."""
        return (passage.searched for passage in self.passages())
