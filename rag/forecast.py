"""The bytes of a database before it is built: a few passages of each source are read, the rest is
reckoned from the size of its files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import log2
from pathlib import Path

from rag.cutting import Sizes, cut
from rag.documents import Document, Found
from rag.encoder_sizes import EncoderSizes, sizes_of
from rag.room import LISTS_FILLED
from rag.rows_of_files import rows_in
from rag.sources import readers
from rag.sources.documents import FORMATS
from rag.store import LIST_BYTES
from stemma.recipe.rag import RagSection
from stemma.recipe.rag_sources import PassageSource
from stemma.retrieval.lexical import BLOCK, index_block
from stemma.retrieval.passages import Passage

SAMPLED_PASSAGES = 4000
SAMPLED_DOCUMENTS = 50
"""Of a folder, at most: opening a PDF takes seconds."""
PAGE_BYTES = 4096
INDEX_BYTES = 30
"""Of a passage in the indexes by digest and by source, and its length."""
EMPTY_BYTES = 50_000
"""Of a database without a passage, database.json among them."""


@dataclass(frozen=True)
class SourceForecast:
    """What a source will give."""

    called: str
    passages: int
    bytes_each: float
    """What a passage takes in the database."""
    is_exact: bool
    """Whether the whole source was read."""


@dataclass(frozen=True)
class DatabaseForecast:
    """What a database will take."""

    lines: list[str]
    """For a person."""
    bytes: int
    """Of the whole folder, at most."""


def forecast(section: RagSection, root: Path) -> DatabaseForecast:
    """The database's size before it is built. Raises UserError for a missing source."""
    encoder = sizes_of(section.encoder)
    wide = encoder.dimensions
    sources = [_source(section, source, root, wide) for source in section.sources]
    lines = [
        f"rag: {one.called}: {'' if one.is_exact else 'about '}{one.passages:,} passages, "
        f"{one.bytes_each:,.0f} bytes each"
        for one in sources
    ]
    total = sum(one.passages for one in sources)
    fixed = EMPTY_BYTES + encoder.bytes
    needed = fixed + sum(one.passages * one.bytes_each for one in sources)
    limit = section.max_bytes
    said = f"rag: all of them take about {_size(needed)}{_vectors(encoder)}; "
    said += f"max_bytes is {_size(limit)}"
    if section.mode != "all":
        said += f"; `{section.mode}` keeps {section.documents_per_question} for each question"
        if section.mode == "paper+distractors":
            said += f" and {section.distractors} others"
    elif needed > limit and total:
        room = int(total * max(0, limit - fixed) / (needed - fixed))
        said += f": about {room:,} have room, the last {total - room:,} are left out"
    return DatabaseForecast([*lines, said], round(min(needed, max(limit, fixed))))


def _vectors(encoder: EncoderSizes) -> str:
    if not encoder.dimensions:
        return ", without vectors"
    said = f", vectors of {encoder.dimensions} numbers and {_size(encoder.bytes)} of encoder"
    return f"{said} among them" + ("" if encoder.is_known else " (a usual one's: it is not here)")


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
    if documents.ended and len(sampled) < SAMPLED_PASSAGES:
        each = _bytes_each(sampled, len(sampled), dimensions)
        return SourceForecast(source.called, len(sampled), each, is_exact=True)
    count = _reckoned(source, root, documents, len(sampled))
    return SourceForecast(source.called, count, _bytes_each(sampled, count, dimensions), False)


def _bytes_each(sampled: list[Passage], count: int, dimensions: int) -> float:
    """What one of `count` passages takes, of which these are some.

    The lists of words are made for these and for half of them: the more passages a block has, the
    less its rare words weigh, at each doubling by nine tenths of what it was at the one before.
    """
    if not sampled:
        return 0.0
    texts = [passage.searched for passage in sampled]
    names = sum(len(passage.id.encode()) for passage in sampled) / len(sampled)
    row = sum(map(_row_bytes, sampled)) / len(sampled) + (names + 5) / 0.72 + INDEX_BYTES
    whole, half = _list_bytes(texts), _list_bytes(texts[: len(texts) // 2])
    doublings = log2(max(1.0, min(count, BLOCK) / len(texts)))
    lists = max(whole / 2, whole + (whole - half) * 9 * (1 - 0.9**doublings))
    return row + lists / LISTS_FILLED + 2 * dimensions


def _row_bytes(passage: Passage) -> float:
    """Of a row with its share of what its page leaves empty: half a row, and 4 % for the tree."""
    row = len((passage.title + passage.text + passage.id + passage.place).encode()) + 20
    return row / max(0.5, 0.96 - row / (2 * PAGE_BYTES))


def _list_bytes(texts: list[str]) -> float:
    if not texts:
        return 0.0
    _, lists = index_block(texts)
    return sum(len(word) + len(held) + LIST_BYTES for word, held in lists) / len(texts)


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


def _reckoned(source: PassageSource, root: Path, documents: _Counted, passages: int) -> int:
    """Passages of a source by the size of its files, the first of which were read; of a folder
    all files are as those that were read."""
    paths = list(source.named_files(root).values())
    if source.source == "documents":
        readable = [path for path in paths if path.suffix.lower() in FORMATS]
        first = set(paths[: documents.read])
        seen = sum(path.stat().st_size for path in readable if path in first)
        whole = passages * sum(path.stat().st_size for path in readable) / max(1, seen)
    else:
        rows = rows_in(paths, documents.read)
        whole = passages * rows / documents.read
    if source.limit:
        whole = min(whole, passages / documents.read * source.limit)
    return max(passages, round(whole))
