"""The files of a database while it grows: passages, their vectors, their lists of words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.room import Room
from rag.store import Store
from rag.vector_file import Rows, VectorFile
from stemma.digests import size_of
from stemma.retrieval.database import ENCODER, PASSAGES, STATIC, VECTORS
from stemma.retrieval.lexical import BLOCK
from stemma.retrieval.passages import Passage


class Growing:
    """Passages with their vectors, changed so that a kill leaves both whole.

    New vectors are on disk before SQLite knows their passages; a vector that moves to another
    number is kept in SQLite until it stands there.
    """

    def __init__(self, work: Path, binding: dict[str, Any], max_bytes: int) -> None:
        """Open the files in `work`, or make them. `binding`: `dimensions`, 0 without vectors, and
        what else these files are for."""
        dimensions = int(binding["dimensions"])
        self.store = Store(work / PASSAGES, binding)
        self.count = self.store.count()
        """Passages, numbered from 0."""
        self._vectors = VectorFile(work / VECTORS, dimensions) if dimensions else None
        self._apply_moves()
        self.seen = bytearray(self.count)
        """By number, whether this writer was given the passage: 1, or else 0."""
        models = sum(size_of(work / name) for name in (ENCODER, STATIC) if (work / name).exists())
        self.room = Room(self.store, max_bytes - models, dimensions)
        self._index_full()

    def _index_full(self) -> None:
        """Write the lists of full blocks that a kill left without."""
        for block in self.store.unindexed():
            if (block + 1) * BLOCK <= self.count:
                self.room.index(block)

    def close(self) -> None:
        """Let go of the files as they are."""
        self.store.connection.close()
        if self._vectors:
            self._vectors.close()

    def finish(self) -> None:
        """Write headers and journals back, and close the files."""
        stamp = self.store.close()
        if self._vectors:
            self._vectors.finish(self.count, stamp)
            self._vectors.close()

    def vector(self, number: int) -> Rows | None:
        """A passage's vector, [dimensions]; None: there are no vectors."""
        return self._vectors.read(number) if self._vectors else None

    def append(
        self, passages: Sequence[Passage], vectors: Callable[[Sequence[Passage]], Rows]
    ) -> int:
        """Append the passages that there is room for, and return how many.

        `vectors` makes those of some passages. Blocks that become full get their lists of words.
        """
        was_full = self.room.is_full
        fitting = self.room.fitting(passages, self.count)
        some = passages[:fitting]
        no_room = None
        if self.room.is_full and not was_full:
            no_room = (passages[fitting].id, self.room.max_bytes)
        if not some and not no_room:
            return 0
        if some and self._vectors:
            self._vectors.write(self.count, vectors(some))
        # In one piece: an attempt that is killed has all of them or none, and the next one decides
        # alike on what has room.
        self.store.insert(self.count, some, no_room)
        block = self.count // BLOCK
        self.count += len(some)
        self.seen += b"\1" * len(some)
        self.room.wait(some)
        if self.count // BLOCK > block:
            self.room.index(block)
        return fitting

    def delete(self, ids: Sequence[str]) -> None:
        """Delete passages; each one's number goes to the last passage."""
        for name in ids:
            number = self.store.by_id([name])[name][0]
            last = self.count - 1
            vector = self._vectors.read(last).tobytes() if self._vectors else None
            self.store.delete(number, last, vector)
            self._apply_moves()
            self.seen[number] = self.seen[last]
            del self.seen[last]
            self.count = last

    def delete_unseen(self) -> None:
        """Delete what this writer was not given."""
        unseen = [number for number, seen in enumerate(self.seen) if not seen]
        for number in reversed(unseen):
            self.delete([self.store.numbered(number).id])

    def index(self) -> None:
        """Write the lists of words that are missing."""
        for block in self.store.unindexed():
            self.room.index(block)

    def trim(self) -> int:
        """Delete the last passages where more than `max_bytes` were written; returns how many.

        The room is estimated before a passage is written, and measured here.
        """
        before = self.count
        # What was cut once, in this attempt or another, leaves no free pages behind.
        self.store.compact(1 if self.store.was_full() else self.room.taken(self.count) // 20)
        while self.count and self.room.taken(self.count) > self.room.max_bytes:
            if self.store.compact(1):
                continue
            taken = self.room.taken(self.count)
            each = taken // self.count
            less = min(self.count, (taken - self.room.max_bytes) // each + 1)
            self.count -= less
            del self.seen[self.count :]
            self.store.cut(self.count, self.room.max_bytes)
            self.index()
            self.store.compact(1)
        return before - self.count

    def _apply_moves(self) -> None:
        """Write vectors to the numbers that SQLite says they have; twice does no harm."""
        if not self._vectors:
            return
        moved = self.store.moved()
        for number, vector in moved:
            self._vectors.write(number, np.frombuffer(vector, dtype=np.float16))
        if moved:
            self.store.clear_moved()
