"""Damaged data files: a problem with its place or a row, never a traceback, whichever reader."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.course.files import read_questions
from rag.sources.wiki_dpr import READER as WIKI_DPR
from rag.sources.wikipedia import READER as WIKIPEDIA
from stemma.errors import Problem, UserError
from stemma.jsonl import read_dicts, read_json
from stemma.reading.tables import CSV, read_table
from stemma.recipe.rag_sources import WikiDpr, Wikipedia

ROW = b'{"question": "a", "answer": "b"}\n'
DIGITS = b"9" * 5000
TOO_LONG = "a number too long to read"
TOO_DEEP = "brackets nested too deep to read"
TWICE = "the key `question` twice in one object"
UTF_16 = "text in UTF-16 or UTF-32"
DAMAGED = {
    "digits": (ROW + b'{"question": ' + DIGITS + b"}\n" + ROW, ".jsonl", ":2", TOO_LONG),
    "digits first": (b'{"question": -' + DIGITS + b"}\n" + ROW, ".jsonl", ":1", TOO_LONG),
    "digits alone": (b'{"question": ' + DIGITS + b"}", ".jsonl", ":1", TOO_LONG),
    "digits in an array": (b'[{"question":\n' + DIGITS + b"}]", ".json", ":1", TOO_LONG),
    "digits wrapped": (b'{"data":\n[{"q": ' + DIGITS + b"}]}", ".json", "", TOO_LONG),
    "twice": (ROW + b'{"question": "a", "question": "b"}\n', ".jsonl", ":2", TWICE),
    "twice alone": (b'{"question": "a", "question": "b"}', ".jsonl", ":1", TWICE),
    "twice in an array": (b'[{"question": 1, "question": 2}]', ".json", ":1", TWICE),
    "deep": (ROW + b"[" * 100_000 + b"\n" + ROW, ".jsonl", ":2", TOO_DEEP),
    "deep alone": (b'{"a":' * 100_000, ".jsonl", ":1", TOO_DEEP),
    "deep array": (b"[" * 100_000, ".json", "", TOO_DEEP),
    "NUL": (b'{"question": "a\0b"}\n' + ROW, ".jsonl", ":1", "not valid JSON (Invalid control"),
    "NULs": (ROW + b"\0" * 1000 + b"\n", ".jsonl", ":2", "not valid JSON (Expecting value"),
    "no UTF-8": (ROW + b'{"question": "\xff"}\n', ".jsonl", ":2", "not UTF-8: byte 0xff"),
    "UTF-16": ((ROW * 2).decode().encode("utf-16"), ".jsonl", "", UTF_16),
    "UTF-32": ((ROW * 2).decode().encode("utf-32"), ".json", "", UTF_16),
    "UTF-16 table": ("q,a\nb,c\n".encode("utf-16"), ".csv", "", UTF_16),
    "a mark amid": (
        ROW + b"\xef\xbb\xbf" + ROW,
        ".jsonl",
        ":2",
        "not valid JSON (Unexpected UTF-8",
    ),
    "cut off": (ROW + ROW[:10], ".jsonl", ":2", "not valid JSON (Unterminated string"),
    "no objects": (b"1\n", ".jsonl", ":1", "a JSON int"),
    "open quote": (b'q,a\n"x,y\n' + b"z,w\n" * 9, ".csv", ":2", "not valid CSV"),
    "columns twice": (b"q,q\nx,y\n", ".csv", ":1", "columns q, q"),
    "no Parquet": (b"PAR1" + b"x" * 100, ".parquet", "", "not readable as Parquet"),
    "empty Parquet": (b"", ".parquet", "", "not readable as Parquet"),
}
TABLES = {
    "text that is no UTF-8": (
        pa.table({"q": pa.array([b"\xff\xfe"]).view(pa.string())}),
        "not readable as Parquet: 'utf-8' codec can't decode",
    ),
    "a date that Python lacks": (
        pa.table({"q": pa.array([2**62], pa.timestamp("us"))}),
        "not readable as Parquet: date value out of range",
    ),
    "a time that Python lacks": (
        pa.table({"q": pa.array([2**62], pa.duration("s"))}),
        "not readable as Parquet: Python int too large",
    ),
    "a column twice": (
        pa.table([pa.array(["a"]), pa.array(["b"])], names=["q", "q"]),
        "columns q, q",
    ),
}


def problems(path: Path) -> list[Problem]:
    return [row for _, row in read_table(path, CSV) if isinstance(row, Problem)]


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_is_told_with_its_place(what: str, tmp_path: Path) -> None:
    content, suffix, place, found = DAMAGED[what]
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    first = problems(path)[0]
    assert first.where == f"{path}{place}"
    assert first.found.startswith(found)


@pytest.mark.parametrize("what", TABLES)
def test_parquet_that_python_cannot_hold(what: str, tmp_path: Path) -> None:
    table, found = TABLES[what]
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path)
    assert [one.found[: len(found)] for one in problems(path)] == [found]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'{"q": NaN, "a": Infinity}\n' + ROW, 2),
        (b'{"q": "\\ud800", "a": "\\udfff\\ud800"}\n' + ROW, 2),
        (b"\xef\xbb\xbf" + ROW * 3, 3),
        (ROW.replace(b"\n", b"\r") * 3, 3),
        (ROW.replace(b"\n", b"\r\n") * 3, 3),
        (b'{"q": 1e999999}\n' + ROW, 2),
        (b"", 0),
        (b"\xef\xbb\xbf", 0),
    ],
)
def test_what_can_be_read_is_read(content: bytes, rows: int, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    assert len(list(read_table(path, CSV))) == rows
    assert problems(path) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"a": ' + DIGITS + b"}", TOO_LONG),
        (b"[" * 100_000, TOO_DEEP),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff"),
        (b'{"a": "\0"}', "not valid JSON (Invalid control character"),
        (b"", "not valid JSON (Expecting value"),
    ],
)
def test_a_state_file_that_is_damaged(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as told:
        read_json(path)
    assert told.value.problems[0].found.startswith(found)


def _json_lines() -> bytes:
    rows = [{"question": f"What is {n}?", "options": ["a", "b"], "answer": "A"} for n in range(20)]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _articles() -> bytes:
    rows = [{"id": str(n), "title": "Heat", "text": "Heat\n\nIt flows."} for n in range(20)]
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())


def _passages() -> bytes:
    return b"id\ttext\ttitle\n" + b'1\t"A ""hot"" stone"\tHeat\n' * 20


def _parquet(folder: Path) -> bytes:
    path = folder / "whole.parquet"
    rows = [{"q": f"What is {n}?", "n": n, "a": ["x", None], "f": 0.5} for n in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path.read_bytes()


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content with a few bytes changed, cut out, doubled, or its end missing."""
    changed = bytearray(content)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(changed) or 1)
        match draw.randrange(5):
            case 0 if changed:
                changed[at % len(changed)] = draw.randrange(256)
            case 1:
                changed[at:at] = draw.choice(
                    (b"\0", b'"', b"[" * 2000, b"9" * 5000, b"\\ud800", b"\xef\xbb\xbf", b"\r")
                )
            case 2:
                del changed[at : at + draw.randint(1, 40)]
            case 3:
                changed[at:at] = changed[at : at + draw.randint(1, 200)]
            case _ if draw.random() < 0.2:
                del changed[at:]
    return bytes(changed)


READERS: dict[str, Callable[[Path], object]] = {
    "rows.jsonl": lambda path: list(read_table(path, CSV)),
    "rows.json": lambda path: list(read_table(path, CSV)),
    "rows.csv": lambda path: list(read_table(path, CSV)),
    "rows.parquet": lambda path: list(read_table(path, CSV)),
    "course.jsonl": read_questions,
    "kept.jsonl": read_dicts,
    "articles.json.gz": lambda path: list(
        WIKIPEDIA.read(Wikipedia(source="wikipedia", path=path.name), path.parent)
    ),
    "passages.tsv": lambda path: list(
        WIKI_DPR.read(WikiDpr(source="wiki_dpr", path=path.name), path.parent)
    ),
}


def whole(name: str, folder: Path) -> bytes:
    if name.startswith("articles"):
        return _articles()
    if name == "rows.json":
        return json.dumps([json.loads(line) for line in _json_lines().splitlines()]).encode()
    if name == "rows.csv":
        return b"question,answer\n" + b'"What, then?",b\n' * 20
    if name == "rows.parquet":
        return _parquet(folder)
    return _passages() if name.startswith("passages") else _json_lines()


def attacks(name: str, folder: Path, count: int, seed: int) -> Iterator[Path]:
    content = whole(name, folder)
    draw = random.Random(f"{name}/{seed}")
    for _ in range(count):
        path = folder / name
        path.write_bytes(mutated(content, draw))
        yield path


def attack(name: str, folder: Path, count: int, seed: int) -> None:
    for path in attacks(name, folder, count, seed):
        with suppress(UserError):
            READERS[name](path)


@pytest.mark.parametrize("name", READERS)
def test_random_damage_never_gives_a_traceback(name: str, tmp_path: Path) -> None:
    attack(name, tmp_path, count=60, seed=15)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_much_random_damage_never_gives_a_traceback(name: str, tmp_path: Path) -> None:
    attack(name, tmp_path, count=5000, seed=151)
