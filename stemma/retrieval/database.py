"""A database of passages: one folder, opened read-only.

    passages.sqlite   passages, and the lists of words for BM25
    vectors.npy       a float16 vector for each passage, by its number; only with an embedder
    encoder.gguf      the embedder itself, or the folder `static`
    database.json     what all this is; written last

A reader keeps the files it opened: a new build in their place is another database to it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stemma.digests import digest_json, digest_of, size_of
from stemma.errors import Problem, UserError
from stemma.jsonl import read_object, validated, write_json
from stemma.recipe.rag import DATABASE_FORM
from stemma.retrieval.dense import DenseVectors
from stemma.retrieval.lexical import Lexical
from stemma.retrieval.passages import Passage
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.stamps import stamp_of
from stemma.strict import StrictRecord

PASSAGES = "passages.sqlite"
VECTORS = "vectors.npy"
FACTS = "database.json"
ENCODER = "encoder.gguf"
STATIC = "static"
AT_ONCE = 500
"""Passages read by one statement."""
AGAIN = "build it again: python -m stemma rag RECIPE"
COPY = f"copy the database again, or {AGAIN} --force"


class FileFacts(StrictRecord):
    """A file or folder of the database."""

    bytes: int
    sha256: str


class EmbedderFacts(StrictRecord):
    """The embedder that made the vectors."""

    digest: str
    """`Embedder.digest`: a query's vector must come from the same."""
    dimensions: int
    model: dict[str, Any]
    """What it is, and all that opening it needs: kind, weights, runtime, pooling, prefixes."""


class DatabaseFacts(StrictRecord):
    """The file `database.json`."""

    schema_version: Literal[3] = DATABASE_FORM
    stamp: str
    """`stamps`: the files have the same."""
    passages: int
    sources: dict[str, int]
    """Passages by source."""
    licences: dict[str, str]
    """By source."""
    mode: str
    """What of its sources the database holds, in words that stand beside every result."""
    contaminated: int
    """Passages that hold a question's options or answer."""
    left_out: int
    """Passages for which there was no room within `max_bytes`."""
    max_bytes: int
    bytes: int
    """Of all files, this one apart."""
    files: dict[str, FileFacts]
    embedder: EmbedderFacts | None
    search: SearchSettings


def read_facts(folder: Path) -> DatabaseFacts:
    """Raises UserError where there is no database, none finished, or one that cannot be read."""
    path = folder / FACTS
    if not path.is_file():
        what = "a database that is not finished" if (folder / PASSAGES).exists() else "no database"
        raise UserError(Problem(str(folder), f"{what}: no {FACTS}", "a built database", AGAIN))
    value = read_object(path)
    if (version := value.get("schema_version")) != DATABASE_FORM:
        found = f"a database of schema_version {version}, by another Stemma"
        raise UserError(Problem(str(folder), found, f"schema_version {DATABASE_FORM}", AGAIN))
    if value.pop("digest", None) != digest_json(value):
        found = "facts that were changed, or damaged"
        hint = f"settings belong into the recipe; {COPY}"
        raise UserError(Problem(str(path), found, "the file as the build wrote it", hint))
    return validated(value, str(path), DatabaseFacts)


def write_facts(folder: Path, facts: DatabaseFacts) -> None:
    """Write a database's facts, with a digest of themselves."""
    value = facts.model_dump(mode="json")
    write_json(folder / FACTS, value | {"digest": digest_json(value)})


def keep_settings(folder: Path, settings: SearchSettings) -> None:
    """Write how a finished database is to be searched into its facts."""
    write_facts(folder, read_facts(folder).model_copy(update={"search": settings}))


class Database:
    """A database opened for reading; by several threads, one at a time."""

    def __init__(self, folder: Path, facts: DatabaseFacts, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.facts = facts
        self.lock = RLock()
        self.vectors: DenseVectors | None = None
        self._connection = connection
        self._owners: NDArray[np.int32] | None = None
        try:
            with self.readable():
                self.lexical = Lexical(connection)
                rows = connection.execute("SELECT number, name FROM sources")
                self._sources: dict[int, str] = dict(rows.fetchall())
                self.count = self._counted()
            if facts.embedder:
                path = folder / VECTORS
                dimensions = facts.embedder.dimensions
                self.vectors = DenseVectors(path, self.count, dimensions, facts.stamp)
        except BaseException:
            connection.close()
            raise

    @classmethod
    def open(cls, folder: Path) -> Database:
        """The finished database in `folder`.

        Sizes of all files, and the stamps of passages and vectors, are compared with the facts;
        `verify` reads every byte. Raises UserError where it is half-built, damaged or of another
        version.
        """
        facts = read_facts(folder)
        try:
            database = cls._opened(folder, facts)
        except UserError:
            if not _was_replaced(folder, facts):
                raise
            return cls.open(folder)
        if _was_replaced(folder, facts):
            database.close()
            return cls.open(folder)
        return database

    @classmethod
    def _opened(cls, folder: Path, facts: DatabaseFacts) -> Database:
        _check_files(folder, facts)
        path = folder / PASSAGES
        # Nothing else writes this very file: no locks, and folders that cannot be written to.
        place = f"file:{_quoted(path)}?mode=ro&immutable=1"
        connection = sqlite3.connect(place, uri=True, check_same_thread=False)
        return cls(folder, facts, connection)

    def _counted(self) -> int:
        last = self._connection.execute("SELECT max(number) FROM passages").fetchone()[0]
        count = 0 if last is None else int(last) + 1
        if count != self.facts.passages or count != len(self.lexical.lengths):
            found = f"{count:,} passages, {len(self.lexical.lengths):,} of them with words"
            expected = f"{self.facts.passages:,}, as {FACTS} says"
            raise UserError(Problem(str(self.folder / PASSAGES), found, expected, COPY))
        return count

    def close(self) -> None:
        self._connection.close()
        if self.vectors:
            self.vectors.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def passages(self, numbers: Sequence[int]) -> list[Passage]:
        """The passages of these numbers (from 0), in this order."""
        found: dict[int, Passage] = {}
        with self.lock, self.readable():
            for begin in range(0, len(numbers), AT_ONCE):
                some = [int(number) for number in numbers[begin : begin + AT_ONCE]]
                places = ",".join("?" * len(some))
                rows = self._connection.execute(
                    "SELECT number, id, title, text, source, place FROM passages "
                    f"WHERE number IN ({places})",
                    some,
                )
                for number, name, title, text, source, place in rows:
                    found[number] = Passage(name, title, text, self._sources[source], place)
            if missing := [number for number in numbers if int(number) not in found]:
                raise IndexError(f"{self.folder}: no passage of number {missing[0]}")
        return [found[int(number)] for number in numbers]

    def number_of(self, passage_id: str) -> int | None:
        """The number of a passage by its id; None: it is not here."""
        with self.lock, self.readable():
            row = self._connection.execute(
                "SELECT number FROM passages WHERE id = ?", (passage_id,)
            ).fetchone()
        return None if row is None else int(row[0])

    def allowed(self, sources: Sequence[str], with_contaminated: bool) -> NDArray[np.bool_] | None:
        """Which passages a search may find, [passages]; None: all.

        Raises UserError for a source that the database does not have. Memory: 5 bytes a passage.
        """
        if not sources and (with_contaminated or not self.facts.contaminated):
            return None
        names = {name: number for number, name in self._sources.items()}
        if unknown := [name for name in sources if name not in names]:
            expected = f"one of {', '.join(sorted(names)) or 'none'}"
            raise UserError(Problem("sources", f"no source `{unknown[0]}`", expected))
        owners = self._by_number()
        free = np.ones(self.count, dtype=bool)
        if sources:
            free = np.isin(np.abs(owners), [names[name] for name in sources])
        return free if with_contaminated else free & (owners > 0)

    def _by_number(self) -> NDArray[np.int32]:
        """The number of each passage's source, from 1; negative for a contaminated one."""
        if self._owners is None:
            with self.lock, self.readable():
                rows = self._connection.execute(
                    "SELECT number, CASE contaminated WHEN 0 THEN source ELSE -source END "
                    "FROM passages INDEXED BY by_source"
                )
                owners = np.zeros(self.count, dtype=np.int32)
                while some := rows.fetchmany(50_000):
                    pairs = np.array(some, dtype=np.int64)
                    owners[pairs[:, 0]] = pairs[:, 1]
            self._owners = owners
        return self._owners

    def verify(self) -> None:
        """Read every file and compare with the facts. Raises UserError with all that differ."""
        problems = [
            Problem(str(self.folder / name), "damaged: another sha256", facts.sha256, COPY)
            for name, facts in self.facts.files.items()
            if digest_of(self.folder / name) != facts.sha256
        ]
        if problems:
            raise UserError(problems)

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Tell a damaged file as such. What it holds may be read and mean nothing: then all bytes
        are compared, and an error of ours stays one."""
        try:
            yield
        except (KeyError, IndexError, TypeError, ValueError):
            self.verify()
            raise
        except sqlite3.ProgrammingError:  # ours, e.g. a closed database
            raise
        except sqlite3.DatabaseError as error:
            path = str(self.folder / PASSAGES)
            problem = Problem(path, f"damaged: {error}", "a whole SQLite file", COPY)
            raise UserError(problem) from None


def _was_replaced(folder: Path, facts: DatabaseFacts) -> bool:
    """Whether a new build came between."""
    return read_facts(folder).files != facts.files


def _check_files(folder: Path, facts: DatabaseFacts) -> None:
    problems = []
    for name, one in facts.files.items():
        path = folder / name
        if not path.exists():
            problems.append(Problem(str(path), "no such file", f"{one.bytes:,} bytes", COPY))
        elif (size := size_of(path)) != one.bytes:
            found = f"damaged: {size:,} bytes"
            problems.append(Problem(str(path), found, f"{one.bytes:,} bytes", COPY))
    passages = folder / PASSAGES
    if not problems and (stamp := stamp_of(passages)) != facts.stamp:
        found = f"damaged, or of another build: its stamp is {stamp}"
        problems.append(Problem(str(passages), found, f"{facts.stamp}, as {FACTS} says", COPY))
    if problems:
        raise UserError(problems)


def _quoted(path: Path) -> str:
    """A path as SQLite's addresses have it."""
    from urllib.parse import quote

    return quote(str(path.absolute()))
