"""The passages of a database while it is written: SQLite, a transaction for each change.

Numbers run from 0 without a gap: a deleted passage's number goes to the last one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rag.binding import one_writer
from stemma.retrieval import lexical
from stemma.retrieval.lexical import BLOCK
from stemma.retrieval.passages import Passage
from stemma.retrieval.stamps import stamp_passages

SCHEMA = """
CREATE TABLE binding (value TEXT NOT NULL);
CREATE TABLE sources (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE passages (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, title TEXT NOT NULL, text TEXT NOT NULL,
    source INTEGER NOT NULL, place TEXT NOT NULL, digest INTEGER NOT NULL,
    contaminated INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX by_digest ON passages (digest);
CREATE INDEX by_source ON passages (source, contaminated);
CREATE TABLE moved (number INTEGER PRIMARY KEY, vector BLOB NOT NULL);
"""
"""`sources.number` is from 1. `moved`: vectors that belong to a passage's new number and may not
stand there yet in the file of vectors."""
CACHE_KIB = 65_536
COUNTERS = (24, 40, 92)
"""Places in SQLite's header that count changes and openings (file change counter, schema cookie,
version-valid-for): without them a build that was killed and one that was not end as the same
bytes."""
FULL = "CREATE TABLE IF NOT EXISTS no_room (count INTEGER, id TEXT, max_bytes INTEGER)"
"""The passage that had no room first, behind how many, within how many bytes; at most one row."""
LIST_BYTES = 10
"""What SQLite takes for a list of words beside word and list."""
COLUMNS = "number, id, title, text, source, place"


def digest_of_text(text: str) -> int:
    """63 bits of a text's sha256: equal texts have equal ones; unequal ones are compared."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


class Store:
    """The SQLite file of a database that is being written."""

    def __init__(self, path: Path, binding: dict[str, Any]) -> None:
        """Open the file, or make it. Raises UserError where another process writes it."""
        self.path = path
        is_new = not path.exists()
        self.connection = sqlite3.connect(path, isolation_level=None, timeout=0)
        for pragma in (
            "locking_mode = EXCLUSIVE",
            "journal_mode = WAL",
            "synchronous = NORMAL",
            f"cache_size = -{CACHE_KIB}",
        ):
            self._run(f"PRAGMA {pragma}")
        self._run("BEGIN IMMEDIATE")
        if is_new:
            for statement in (SCHEMA + lexical.SCHEMA).split(";"):
                self._run(statement)
            self._run("INSERT INTO binding VALUES (?)", json.dumps(binding))
        self._run(FULL)
        self._run("COMMIT")
        self.sources: dict[str, int] = dict(
            self._run("SELECT name, number FROM sources").fetchall()
        )

    def _run(self, statement: str, *values: Any) -> sqlite3.Cursor:
        with one_writer(self.path):
            return self.connection.execute(statement, values)

    def close(self) -> str:
        """Leave one file, without a journal beside it; returns its stamp."""
        self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        self._run("PRAGMA journal_mode = DELETE")
        self.connection.close()
        with self.path.open("r+b") as stream:
            for place in COUNTERS:
                stream.seek(place)
                stream.write((1).to_bytes(4, "big"))
        return stamp_passages(self.path)

    def count(self) -> int:
        last = self._run("SELECT max(number) FROM passages").fetchone()[0]
        return 0 if last is None else int(last) + 1

    def size(self) -> int:
        """Bytes that the file takes once its journal is written back."""
        pages = self._run("PRAGMA page_count").fetchone()[0]
        return int(pages) * int(self._run("PRAGMA page_size").fetchone()[0])

    def by_id(self, ids: Sequence[str]) -> dict[str, tuple[int, Passage]]:
        """Number and passage of each id that is here."""
        return {one[1].id: one for one in self._where("id", list(ids))}

    def by_digest(self, digests: Sequence[int]) -> dict[str, tuple[int, Passage]]:
        """Number and passage by text, of the texts that have one of these digests."""
        return {one[1].text: one for one in self._where("digest", list(digests))}

    def numbered(self, number: int) -> Passage:
        return self._where("number", [number])[0][1]

    def _where(self, column: str, values: Sequence[Any]) -> list[tuple[int, Passage]]:
        places = ",".join("?" * len(values))
        rows = self._run(f"SELECT {COLUMNS} FROM passages WHERE {column} IN ({places})", *values)
        names = {number: name for name, number in self.sources.items()}
        return [
            (number, Passage(name, title, text, names[source], place))
            for number, name, title, text, source, place in rows
        ]

    def insert(
        self, first: int, passages: Sequence[Passage], no_room: tuple[str, int] | None = None
    ) -> None:
        """Append passages under the numbers from `first` on; all or none.

        `no_room`: the id of the passage behind them that has none, and the limit of bytes.
        """
        with self.connection:
            self._run("BEGIN IMMEDIATE")
            rows = [
                (
                    *(number, one.id, one.title, one.text),
                    *(self._source(one.source), one.place, digest_of_text(one.text)),
                )
                for number, one in enumerate(passages, start=first)
            ]
            self.connection.executemany("INSERT INTO passages VALUES (?,?,?,?,?,?,?,0)", rows)
            for block in {number // BLOCK for number in range(first, first + len(rows))}:
                self._forget(block)
            if no_room:
                self._note_full(first + len(rows), *no_room)

    def _note_full(self, count: int, name: str, max_bytes: int) -> None:
        self._run("DELETE FROM no_room")
        self._run("INSERT INTO no_room VALUES (?, ?, ?)", count, name, max_bytes)

    def is_full(self, count: int, name: str, max_bytes: int) -> bool:
        """Whether this passage had no room behind as many others, in this attempt or another."""
        return bool(self._run("SELECT * FROM no_room").fetchone() == (count, name, max_bytes))

    def was_full(self) -> bool:
        return self._run("SELECT 1 FROM no_room").fetchone() is not None

    def cut(self, count: int, max_bytes: int) -> None:
        """Delete all passages from the number `count` on: they have no room."""
        name = self.numbered(count).id
        with self.connection:
            self._run("BEGIN IMMEDIATE")
            last = self.count() - 1
            self._run("DELETE FROM passages WHERE number >= ?", count)
            self._run("DELETE FROM moved WHERE number >= ?", count)
            for block in range(count // BLOCK, last // BLOCK + 1):
                self._forget(block)
            self._note_full(count, name, max_bytes)

    def _source(self, name: str) -> int:
        if name not in self.sources:
            self._run("INSERT INTO sources (name) VALUES (?)", name)
            # Read back: after a rollback the table decides, not this memory.
            self.sources = dict(self._run("SELECT name, number FROM sources").fetchall())
        return self.sources[name]

    def update_place(self, number: int, passage: Passage) -> None:
        """Write source and place of a passage whose title and text stay."""
        with self.connection:
            self._run("BEGIN IMMEDIATE")
            values = (self._source(passage.source), passage.place, number)
            self._run("UPDATE passages SET source = ?, place = ? WHERE number = ?", *values)

    def delete(self, number: int, last: int, vector: bytes | None) -> None:
        """Delete a passage; the last one takes its number, and `vector` with it."""
        with self.connection:
            self._run("BEGIN IMMEDIATE")
            self._run("DELETE FROM passages WHERE number = ?", number)
            self._run("DELETE FROM moved WHERE number = ?", last)
            if number != last:
                self._run("UPDATE passages SET number = ? WHERE number = ?", number, last)
                if vector is not None:
                    self._run("INSERT OR REPLACE INTO moved VALUES (?, ?)", number, vector)
            for block in {number // BLOCK, last // BLOCK}:
                self._forget(block)

    def moved(self) -> list[tuple[int, bytes]]:
        return self._run("SELECT number, vector FROM moved").fetchall()

    def clear_moved(self) -> None:
        self._run("DELETE FROM moved")

    def mark_contaminated(self, ids: Iterable[str]) -> None:
        """Mark these passages, and no others."""
        with self.connection:
            self._run("BEGIN IMMEDIATE")
            self._run("UPDATE passages SET contaminated = 0 WHERE contaminated")
            self.connection.executemany(
                "UPDATE passages SET contaminated = 1 WHERE id = ?", ((name,) for name in ids)
            )

    def unindexed(self) -> list[int]:
        """Blocks of passages whose lists of words are not written."""
        done = {row[0] for row in self._run("SELECT block FROM blocks")}
        return [block for block in range(-(-self.count() // BLOCK)) if block not in done]

    def index(self, block: int) -> None:
        """Write a block's lists of words."""
        texts = self._run(
            "SELECT CASE title WHEN '' THEN text ELSE title || char(10) || text END FROM passages "
            "WHERE number BETWEEN ? AND ? ORDER BY number",
            *(block * BLOCK, block * BLOCK + BLOCK - 1),
        )
        lengths, lists = lexical.index_block([row[0] for row in texts])
        with self.connection:
            self._run("BEGIN IMMEDIATE")
            self._forget(block)
            self._run("INSERT INTO blocks VALUES (?, ?)", block, lengths)
            self.connection.executemany(
                "INSERT INTO postings VALUES (?, ?, ?)", ((block, *one) for one in lists)
            )

    def _forget(self, block: int) -> None:
        """Delete a block's lists of words: its passages change."""
        self._run("DELETE FROM blocks WHERE block = ?", block)
        self._run("DELETE FROM postings WHERE block = ?", block)

    def text_bytes_of(self, block: int) -> int:
        """About the bytes of a block's texts."""
        row = self._run(
            "SELECT sum(length(title) + length(text)) FROM passages WHERE number BETWEEN ? AND ?",
            *(block * BLOCK, block * BLOCK + BLOCK - 1),
        ).fetchone()
        return int(row[0] or 0)

    def list_bytes_of(self, block: int) -> int:
        """Bytes of a block's lists of words, without the room between them."""
        row = self._run(
            "SELECT sum(length(word) + length(passages)), count(*) FROM postings WHERE block = ?",
            block,
        ).fetchone()
        return int(row[0] or 0) + LIST_BYTES * int(row[1])

    def last_indexed(self) -> int | None:
        """The last block whose lists of words are written."""
        row = self._run("SELECT max(block) FROM blocks").fetchone()
        return None if row[0] is None else int(row[0])

    def counts(self) -> tuple[dict[str, int], int]:
        """Passages by source, and contaminated ones."""
        rows = self._run(
            "SELECT name, count(*) FROM passages JOIN sources ON source = sources.number "
            "GROUP BY source ORDER BY name"
        ).fetchall()
        marked = self._run("SELECT count(*) FROM passages WHERE contaminated").fetchone()[0]
        return dict(rows), int(marked)

    def compact(self, at_least: int) -> bool:
        """Give free pages back, where there are as many bytes of them; whether there were."""
        free = self._run("PRAGMA freelist_count").fetchone()[0]
        if free * int(self._run("PRAGMA page_size").fetchone()[0]) < max(at_least, 1):
            return False
        self._run("VACUUM")
        return True
