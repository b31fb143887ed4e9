"""Rows of JSON files: JSON Lines, an array of objects, objects one behind the other, or an object
that holds the rows:

    {"version": 1, "data": [{"question": "…"}, …]}

An array and lines are read row by row, so a file of any size costs little memory. What is no row is
a Problem in its place, and the reader goes on where it can.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError
from stemma.jsonl import keys_once, parse_object, unreadable

NumberedRow = tuple[str, dict[str, Any] | Problem]
"""Where in its file a row stands (`:12` for a line, ` row 12`, or both), and the row."""

WRAPPERS = ("data", "rows", "examples", "instances", "records", "samples", "questions", "items")
"""Keys under which a file's one object may hold its rows."""
SPLITS = frozenset({"train", "training", "validation", "valid", "val", "dev", "test", "eval"})

SAVE_AGAIN = "save it again as UTF-8 (in Excel: CSV UTF-8)"

_CHUNK = 1 << 20
_DECODE = json.JSONDecoder(object_pairs_hook=keys_once).raw_decode
_FIRST = re.compile(r"\s*\[\s*")
_NEXT = re.compile(r"\s*,\s*")
_EMPTY = re.compile(r"\s*\[\s*\]\s*")
_END = re.compile(r"\s*\]\s*")
_BLANK = re.compile(r"\s*")
_ROWS = "JSON Lines, an array of objects, or one object with the rows under `data`"


def read_json_rows(path: Path) -> Iterator[NumberedRow]:
    """Every row of a `.json` or `.jsonl` file: its content decides, whatever its name."""
    with path.open("rb") as stream:
        begin = stream.read(_CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip()
    if begin[:1] == b"[":
        return _read_array(path)
    lines = [line for line in begin.split(b"\n") if line.strip()]
    if begin[:1] == b"{" and (len(lines) == 1 or not _is_object(lines[0])):
        return _read_objects(path)
    return _read_lines(path)


def wrong_row(path: Path, where: str, found: str, expected: str, hint: str = "") -> NumberedRow:
    """A problem in the place of a row that cannot be read."""
    return where, Problem(f"{path}{where}", found, expected, hint)


def not_encoded(where: str, error: UnicodeDecodeError, encoding: str = "UTF-8") -> Problem:
    found = f"not {encoding}: byte 0x{error.object[error.start]:02x}"
    return Problem(where, found, f"text in {encoding}", SAVE_AGAIN)


def _is_object(line: str | bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _read_objects(path: Path) -> Iterator[NumberedRow]:
    """Objects over several lines, one behind the other; of a single one that wraps rows, those.
    Where that is not what the file holds, some of its lines may."""
    text = path.read_text(encoding="utf-8-sig")
    try:
        found = list(_decode_all(text))
    except json.JSONDecodeError as error:
        if any(map(_is_object, text[:_CHUNK].split("\n"))):
            yield from _read_lines(path)
        else:
            where = f":{text[: error.pos].rstrip().count(chr(10)) + 1}"
            yield where, Problem(f"{path}{where}", f"not valid JSON ({error.msg})", _ROWS)
        return
    except (ValueError, RecursionError):
        lines = [line for line in text.split("\n") if line.strip()]
        if len(lines) == 1 or any(map(_is_object, lines)):
            yield from _read_lines(path)
            return
        raise
    if len(found) > 1:
        yield from ((f":{line}", row) for line, row in found)
        return
    [(line, value)] = found
    if wrapper := next((key for key in WRAPPERS if _are_objects(value.get(key))), None):
        yield from (
            (f" {wrapper} row {number}", row) for number, row in enumerate(value[wrapper], start=1)
        )
    elif _is_no_row(value):
        hint = (
            "save each split in a file of its own; from pandas: to_json(path, orient='records', "
            "lines=True)"
        )
        yield (
            "",
            Problem(
                str(path), f"one object of {', '.join(value)}, each with many rows", _ROWS, hint
            ),
        )
    else:
        yield f":{line}", value


def _decode_all(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects one behind the other, each with its line. Raises JSONDecodeError."""
    at = 0
    line = 1
    while True:
        begin = _behind(_BLANK, text, at)
        line += text.count("\n", at, begin)
        if begin == len(text):
            return
        value, at = _DECODE(text, begin)
        if not isinstance(value, dict):
            raise json.JSONDecodeError("Expecting an object", text, begin)
        yield line, value
        line += text.count("\n", begin, at)


def _is_no_row(value: dict[str, Any]) -> bool:
    """Whether an object holds a table in each of its values: `train`, `test`; or one column, as
    pandas writes them."""
    inner = list(value.values())
    lengths = {len(one) for one in inner if isinstance(one, list) and not _are_objects(one)}
    by_column = len(lengths) == 1 and all(
        isinstance(one, list) and not _are_objects(one) for one in inner
    )
    by_number = all(isinstance(one, dict) and "0" in one for one in inner)
    by_split = SPLITS.issuperset(value) and all(map(_are_objects, inner))
    return len(inner) > 1 and (by_column or by_number or by_split)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _read_lines(path: Path) -> Iterator[NumberedRow]:
    with path.open(
        "rb"
    ) as stream:  # bytes: U+2028 and lone carriage returns are legal inside a JSON string
        for number, line in enumerate(stream, start=1):
            where = f":{number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if text.strip():
                    yield where, parse_object(text.rstrip("\n"), f"{path}{where}")
            except UnicodeDecodeError as error:  # only this line is lost
                yield where, not_encoded(f"{path}{where}", error)
            except UserError as error:
                yield where, error.problems[0]


def _read_array(path: Path) -> Iterator[NumberedRow]:
    """The objects of one JSON array, each with the line it begins at, and with its number where
    something else stands on that line before it. A syntax error ends them."""
    text = ""
    at = 0
    line = 1
    mark = _FIRST
    empty = _EMPTY
    number = 0
    with path.open(encoding="utf-8-sig") as stream:
        while True:
            try:
                begin = _behind(mark, text, at)
                value, end = _DECODE(text, begin)
            except json.JSONDecodeError as error:  # wrong; or not read to its end yet
                if more := stream.read(max(_CHUNK, len(text) - at)):
                    text = text[at:] + more
                    at = 0
                    continue
                if not empty.fullmatch(text, at):
                    line += text.count("\n", at, error.pos)
                    found = f"not valid JSON ({error.msg})"
                    yield wrong_row(path, f":{line}", found, "an array of objects")
                return
            except ValueError as error:
                line += text.count("\n", at, _behind(mark, text, at))
                yield wrong_row(path, f":{line}", unreadable(error), "an array of objects")
                return
            passed = text.count("\n", at, begin)
            line += passed
            number += 1
            where = f":{line}" if passed else f":{line} row {number}"
            if isinstance(value, dict):
                yield where, value
            else:
                yield wrong_row(path, where, f"a JSON {type(value).__name__}", "an object")
            line += text.count("\n", begin, end)
            at = end
            mark = _NEXT
            empty = _END


def _behind(mark: re.Pattern[str], text: str, at: int) -> int:
    if found := mark.match(text, at):
        return found.end()
    raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
