"""The bytes of a database that is being written, and what still fits."""

from __future__ import annotations

from collections.abc import Sequence

from rag.store import Store
from stemma.retrieval.dense import bytes_of
from stemma.retrieval.lexical import BLOCK
from stemma.retrieval.passages import Passage

RESERVED_BYTES = 32_768
"""For database.json."""
ROW_BYTES = 110
"""What SQLite takes for a passage beside its texts: number, digest, indexes, borders."""
FILLED = 0.85
"""How full SQLite's pages are, at least, with names in no order."""
LISTS_FILLED = 1 / 1.2
"""The same of lists of words."""
WORDS_SHARE = 0.7
"""Bytes of lists of words by letters of text, before any block has been measured."""


class Room:
    """The limit of a database's bytes, beside its embedder's."""

    def __init__(self, store: Store, max_bytes: int, dimensions: int) -> None:
        self.max_bytes = max_bytes
        self._store = store
        self._dimensions = dimensions
        self.is_full = False
        """Whether a passage had no room: none after it has."""
        self._words_share = WORDS_SHARE
        last = store.last_indexed()
        if last is not None:
            self._learn(last)
        self._waiting = sum(store.text_bytes_of(block) for block in store.unindexed())
        """Letters whose lists of words are not written yet."""

    def taken(self, count: int) -> int:
        """Bytes that the database takes with `count` passages, as far as it is written."""
        vectors = bytes_of(count, self._dimensions) if self._dimensions else 0
        return self._store.size() + vectors + RESERVED_BYTES

    def fitting(self, passages: Sequence[Passage], count: int) -> int:
        """How many of `passages` there is room for behind `count`; from the first that does not
        fit none ever, so that the order alone decides which are left out."""
        if self.is_full or not passages:
            return 0
        if self._store.is_full(count, passages[0].id, self.max_bytes):
            self.is_full = True
            return 0
        used = self.taken(count) + self._waiting * self._words_share
        row = ROW_BYTES + (2 * self._dimensions if self._dimensions else 0)
        for place, passage in enumerate(passages):
            letters = len(passage.searched.encode())
            names = 2 * len(passage.id.encode()) + len(passage.place.encode())
            used += (letters + names) / FILLED + row + letters * self._words_share
            if used > self.max_bytes:
                self.is_full = True
                return place
        return len(passages)

    def wait(self, passages: Sequence[Passage]) -> None:
        """Count passages whose lists of words are to come."""
        self._waiting += sum(len(one.title) + len(one.text) for one in passages)

    def index(self, block: int) -> None:
        """Write a block's lists of words, and learn how many bytes they take."""
        self._store.index(block)
        self._learn(block)
        self._waiting = max(0, self._waiting - self._store.text_bytes_of(block))

    def _learn(self, block: int) -> None:
        """Take what a block's lists take for the next: its content decides, not how it came to be,
        so that a build that was killed leaves out what one that was not leaves out."""
        letters = self._store.text_bytes_of(block)
        if letters > BLOCK:  # of a few texts the pages' own size decides
            self._words_share = self._store.list_bytes_of(block) / LISTS_FILLED / letters
