"""The bytes of a database before it is built: a few passages of each source are read, the rest is
reckoned from the size of its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rag.cutting import Sizes, cut
from rag.documents import Document, Found
from rag.room import FILLED, RESERVED_BYTES, ROW_BYTES, WORDS_SHARE
from rag.sources import readers
from rag.sources.documents import FORMATS
from stemma.recipe.rag import RagSection
from stemma.recipe.rag_sources import PassageSource

SAMPLED_PASSAGES = 2000
SAMPLED_DOCUMENTS = 50
"""Of a source, at most: opening a PDF takes seconds."""
UNPACKED = {".gz": 2.6, ".bz2": 3.5}
"""Bytes of text by bytes of a packed file."""
USUAL_DIMENSIONS = 384
"""Of a small sentence encoder, where the recipe names one that is not here yet."""


@dataclass(frozen=True)
class SourceForecast:
    """What a source will give."""

    called: str
    passages: int
    bytes_each: float
    """What a passage takes in the database."""
    is_exact: bool
    """Whether the whole source was read."""


def forecast(section: RagSection, root: Path, dimensions: int | None = None) -> list[str]:
    """The database's size in lines for a person. Raises UserError for a source that is not there.

    `dimensions`: of the encoder's vectors, where they are known.
    """
    wide = (dimensions or USUAL_DIMENSIONS) if section.encoder else 0
    sources = [_source(section, source, root, wide) for source in section.sources]
    lines = [
        f"rag: {one.called}: {'' if one.is_exact else 'about '}{one.passages:,} passages, "
        f"{one.bytes_each:,.0f} bytes each"
        for one in sources
    ]
    total = sum(one.passages for one in sources)
    needed = RESERVED_BYTES + sum(one.passages * one.bytes_each for one in sources)
    vectors = f", vectors of {wide} numbers among them" if wide else ", without vectors"
    limit = section.max_bytes
    said = f"rag: all of them take about {_size(needed)}{vectors}; max_bytes is {_size(limit)}"
    if section.mode != "all":
        said += f"; `{section.mode}` keeps {section.documents_per_question} for each question"
        if section.mode == "paper+distractors":
            said += f" and {section.distractors} others"
    elif needed > limit and total:
        room = int(total * max(0, limit - RESERVED_BYTES) / (needed - RESERVED_BYTES))
        said += f": about {room:,} have room, the last {total - room:,} are left out"
    return [*lines, said]


def _size(count: float) -> str:
    return f"{count / 1e9:,.2f} GB" if count >= 1e8 else f"{count / 1e6:,.2f} MB"


def _source(
    section: RagSection, source: PassageSource, root: Path, dimensions: int
) -> SourceForecast:
    sizes = Sizes(section.passage_words, section.overlap_words)
    most = SAMPLED_DOCUMENTS if source.source == "documents" else SAMPLED_PASSAGES
    documents = _Counted(readers()[source.source].read(source, root), most)
    passages = (
        passage
        for found in documents
        if isinstance(found, Document)
        for passage in cut(found, sizes, source.called)
    )
    sampled = list(islice(passages, SAMPLED_PASSAGES))
    letters = [len(passage.searched.encode()) for passage in sampled]
    names = [2 * len(passage.id.encode()) + len(passage.place.encode()) for passage in sampled]
    count = max(1, len(sampled))
    each = (sum(letters) + sum(names)) / count / FILLED + ROW_BYTES + 2 * dimensions
    each += WORDS_SHARE * sum(letters) / count
    if documents.ended and len(sampled) < SAMPLED_PASSAGES:
        return SourceForecast(source.called, len(sampled), each, is_exact=True)
    return SourceForecast(source.called, _reckoned(source, root, documents, letters), each, False)


class _Counted:
    """The first documents of a source, and whether there are no more."""

    def __init__(self, found: Iterator[Found], most: int) -> None:
        self._most = most
        self.read = 0
        self.ended = False
        self._found = found

    def __iter__(self) -> Iterator[Found]:
        for one in self._found:
            self.read += 1
            yield one
            if self.read >= self._most:
                return
        self.ended = True


def _reckoned(source: PassageSource, root: Path, documents: _Counted, letters: list[int]) -> int:
    """Passages by the size of its files: a packed file's text is larger, a folder's files are as
    those that were read."""
    named = source.named_files(root)
    sizes = {path: path.stat().st_size * UNPACKED.get(path.suffix, 1.0) for path in named.values()}
    if source.source == "documents":
        readable = [path for path in sizes if path.suffix.lower() in FORMATS]
        first = list(islice(named.values(), documents.read))
        seen = sum(sizes[path] for path in first if path in readable)
        return round(len(letters) * sum(sizes[path] for path in readable) / max(1, seen))
    whole = round(sum(sizes.values()) / (sum(letters) / max(1, len(letters)) + 12))
    return min(whole, source.limit) if source.limit else whole
