"""The ledger of paid requests: an SQLite file that outlives every run; none is billed twice.

A request is known by its key, the sha256 of its canonical body. Every reply is committed, and on
the disk, before anybody uses it; a kill at any moment loses only what was in flight. Batches are
written down before they are created, so that the next process finds them on the server. A row:

    key 5f3a… · request {"model": "gpt-4o-mini", "messages": […], "seed": 7} · text "19" ·
    finish_reason stop · model gpt-4o-mini-2024-07-18 · input_tokens 21 · output_tokens 2 ·
    cost_usd 4.3e-06 · mode sync · answered 2026-03-01T12:00:00+00:00
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.digests import digest_json
from stemma.errors import Problem, UserError
from stemma.generator.prices import Mode
from stemma.generator.requests import ChatRequest, Completion, TokenUsage

LEDGER = "ledger.sqlite"
"""Beside the run folders: an answer that was paid for outlives the run it was made for."""
STAYS = "free some space there, and leave the ledger where it is: it holds what was paid for"
VERSION = 1
APPLICATION = 0x57E33A
"""Written into the file's header, so that no other program's database is taken for a ledger."""
SCHEMA = """
CREATE TABLE replies (
    key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    text TEXT,
    refusal TEXT,
    finish_reason TEXT,
    model TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost_usd REAL,
    answered TEXT NOT NULL,
    mode TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    server TEXT NOT NULL,
    tag TEXT NOT NULL,
    id TEXT
);
CREATE TABLE batched (
    number INTEGER NOT NULL REFERENCES batches,
    key TEXT NOT NULL,
    request TEXT NOT NULL
);
"""


@dataclass(frozen=True)
class LedgerEntry:
    """A completion, when and how it was had, and its cost by that day's prices."""

    completion: Completion
    answered_at: str
    """ISO 8601, in UTC."""
    mode: Mode
    cost_usd: float | None
    """None: there was no price table."""
    placeholder: bool = False
    """Made up by a dry run; never in a ledger."""


@dataclass(frozen=True)
class PendingBatch:
    """A batch of requests whose results are not in the ledger yet."""

    number: int
    tag: str
    """Sent with the batch, so that it is found again on the server."""
    id: str | None
    """The server's name for it; None: perhaps it was never created."""
    requests: dict[str, ChatRequest]


class Ledger:
    """The open ledger. Every method that writes commits before it returns."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def find(self, key: str) -> LedgerEntry | None:
        """The entry of a request; None where it was never answered."""
        row = self._db.execute(
            "SELECT text, refusal, finish_reason, model, input_tokens, cached_tokens,"
            " output_tokens, answered, mode, cost_usd FROM replies WHERE key = ?",
            (key,),
        ).fetchone()
        if row is None:
            return None
        text, refusal, finish_reason, model, *counts, answered_at, mode, cost = row
        completion = Completion(text, refusal, finish_reason, model, TokenUsage(*counts))
        return LedgerEntry(completion, answered_at, mode, cost)

    def add(self, replies: Iterable[tuple[ChatRequest, LedgerEntry]]) -> None:
        """Commits them together. The first reply to a request stays."""
        with self._transaction():
            self._db.executemany(
                f"INSERT INTO replies VALUES ({', '.join('?' * 12)}) ON CONFLICT (key) DO NOTHING",
                (_row(request, entry) for request, entry in replies),
            )

    def sent_since(self, moment: str, model: str) -> list[str]:
        """When the model answered single requests since a moment, oldest first.

        They count against a limit of requests per day.
        """
        found = self._db.execute(
            "SELECT answered FROM replies WHERE answered > ? AND mode = 'sync'"
            " AND json_extract(request, '$.model') = ? ORDER BY answered",
            (moment, model),
        )
        return [answered for (answered,) in found]

    def plan_batch(self, server: str, requests: Collection[ChatRequest]) -> PendingBatch:
        """Notes a batch that is about to be created, under a tag that no other batch has."""
        digest = digest_json(sorted(request.key for request in requests))
        with self._transaction():
            number = self._db.execute(
                "INSERT INTO batches (server, tag) VALUES (?, '')", (server,)
            ).lastrowid
            assert number is not None, "an insert gives a row"
            tag = f"{digest[:32]}-{number}"
            self._db.execute("UPDATE batches SET tag = ? WHERE number = ?", (tag, number))
            rows = [
                (number, request.key, json.dumps(request.body, ensure_ascii=False))
                for request in requests
            ]
            self._db.executemany("INSERT INTO batched VALUES (?, ?, ?)", rows)
        return PendingBatch(number, tag, None, {request.key: request for request in requests})

    def name_batch(self, number: int, batch_id: str) -> None:
        """Notes the name that the server gave to a planned batch."""
        with self._transaction():
            self._db.execute("UPDATE batches SET id = ? WHERE number = ?", (batch_id, number))

    def close_batch(self, number: int) -> None:
        """Forgets a batch whose results were added, or that never was."""
        with self._transaction():
            self._db.execute("DELETE FROM batched WHERE number = ?", (number,))
            self._db.execute("DELETE FROM batches WHERE number = ?", (number,))

    def pending_batches(self, server: str) -> list[PendingBatch]:
        """The batches that were planned for a server and are not closed."""
        found = self._db.execute(
            "SELECT number, tag, id FROM batches WHERE server = ? ORDER BY number", (server,)
        )
        return [
            PendingBatch(number, tag, name, self._batched(number))
            for number, tag, name in found.fetchall()
        ]

    def _batched(self, number: int) -> dict[str, ChatRequest]:
        rows = self._db.execute("SELECT key, request FROM batched WHERE number = ?", (number,))
        return {key: ChatRequest(key, json.loads(request)) for key, request in rows}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._db.in_transaction:  # on a full disk SQLite has done it already
                self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _row(request: ChatRequest, entry: LedgerEntry) -> tuple[Any, ...]:
    """The values of the table's columns, in their order."""
    completion = entry.completion
    return (
        request.key,
        json.dumps(request.body, ensure_ascii=False),
        completion.text,
        completion.refusal,
        completion.finish_reason,
        completion.model,
        completion.usage.input,
        completion.usage.cached,
        completion.usage.output,
        entry.cost_usd,
        entry.answered_at,
        entry.mode,
    )


@contextmanager
def open_ledger(path: Path) -> Iterator[Ledger]:
    """The ledger, for one process at a time.

    Raises UserError when another process has it, or when it is damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not the database itself: closing any handle on it would drop the locks that SQLite holds.
    with path.with_name(f"{path.name}.lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = "another process is generating with this ledger"
            raise UserError(Problem(str(path), found, hint="wait for it, or end it")) from None
        with closing(_connect(path)) as connection:
            yield Ledger(connection)


def peek_ledger(path: Path) -> Ledger:
    """The ledger as it stands, for a dry run; an empty one in memory where there is none."""
    if path.exists():
        return Ledger(_connect(path))
    return Ledger(_create(sqlite3.connect(":memory:")))


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise _unwritable(path, error) from None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A commit is on the disk before anybody uses the reply.
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,):
            return _create(connection)
        _check(connection, path)
    except sqlite3.OperationalError as error:  # the disk's, not the file's: full, read-only
        connection.close()
        raise _unwritable(path, error) from None
    except sqlite3.DatabaseError as error:
        connection.close()
        raise _unusable(path, f"cannot be read ({error})") from None
    except UserError:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.executescript(
        f"BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION}; "
        f"PRAGMA user_version = {VERSION}; COMMIT;"
    )
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (application, version) != (APPLICATION, VERSION):
        is_ledger = application == APPLICATION
        what = f"a ledger of version {version}" if is_ledger else "a database, but no ledger"
        raise _unusable(path, f"{what}; this Stemma reads version {VERSION}")
    (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if state != "ok":
        raise _unusable(path, f"damaged ({state})")


def _unwritable(path: Path, error: sqlite3.OperationalError) -> UserError:
    found, expected = f"cannot be written: {error}", "a writable folder with free space"
    return UserError(Problem(str(path), found, expected, STAYS))


def _unusable(path: Path, found: str) -> UserError:
    hint = (
        "move it away to begin a new one (its requests will be paid for again), or restore a copy"
    )
    return UserError(Problem(str(path), found, "the ledger of paid requests", hint))
