"""JSONL and JSON files: readers that report file:line, and writers that are atomic."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from stemma.errors import Problem, Problems, UserError
from stemma.files import atomic, write_text
from stemma.plain_files import plain_file

if TYPE_CHECKING:
    from pydantic import BaseModel

Row = TypeVar("Row", bound="BaseModel")


def write_json(path: Path, value: Any) -> None:
    """Write one JSON value, readable, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, sort_keys=False) + "\n")


def write_jsonl(path: Path, rows: Iterable[BaseModel | dict[str, Any]]) -> int:
    """Write one JSON object a line, all or none; returns the number of rows."""
    count = 0
    with atomic(path) as stream:
        for row in rows:
            value = row if isinstance(row, dict) else row.model_dump(mode="json")
            stream.write(json.dumps(value, ensure_ascii=False) + "\n")
            count += 1
    return count


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises UserError where it holds anything else."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise UserError(Problem(str(path), f"a JSON {type(value).__name__}", "one JSON object"))
    return value


def read_json(path: Path) -> Any:
    """The parsed file. Raises UserError naming the file and line of a syntax error."""
    return _parse(_text(path), str(path))


def read_dicts(path: Path) -> list[dict[str, Any]]:
    """Every line of a JSONL file as an object.

    Raises UserError with all malformed lines (20 kinds at most).
    """
    return _each(path, parse_object)


def stream_dicts(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a JSONL file as objects, one at a time: for files larger than memory.

    Raises UserError at the first malformed line.
    """
    plain_file(path, "a JSONL file")
    # "\n" alone ends a line: U+2028 and form feeds are legal inside a JSON string.
    with path.open(encoding="utf-8", newline="\n") as stream:
        for number, text in enumerate(stream, start=1):
            if text.strip():
                yield parse_object(text, f"{path}:{number}")


def read_rows(path: Path, model: type[Row]) -> list[Row]:
    """Every line of a JSONL file as `model`.

    Raises UserError with all wrong lines (20 kinds at most), as file:line.
    """
    return _each(path, lambda text, where: _as_row(text, where, model))


Value = TypeVar("Value")


def _each(path: Path, parse: Callable[[str, str], Value]) -> list[Value]:
    values: list[Value] = []
    problems = Problems()
    for number, text in enumerate(_lines(path), start=1):
        if not text.strip():
            continue
        try:
            values.append(parse(text, f"{path}:{number}"))
        except UserError as error:
            problems.add(error.problems)
    if problems:
        raise UserError(problems.listed())
    return values


def _lines(path: Path) -> list[str]:
    plain_file(path, "a JSONL file", "check the path in the recipe")
    # Not splitlines(): U+2028 and form feeds are legal inside a JSON string.
    return _text(path).split("\n")


def _text(path: Path) -> str:
    """A file's text in UTF-8, with or without the mark that Windows puts in front.

    Raises UserError naming the line that is not UTF-8.
    """
    plain_file(path, "a file in UTF-8")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        data = error.object
        at = error.start
        found = f"not UTF-8: byte 0x{data[at]:02x}"
        line = data.count(b"\n", 0, at) + 1
        raise UserError(Problem(f"{path}:{line}", found, "text in UTF-8")) from None


class Twice(ValueError):
    """A key that an object of JSON has twice: two readers take two values of it."""


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON (`object_pairs_hook`). Raises Twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        times = Counter(key for key, _ in pairs)
        raise Twice(next(key for key, count in times.items() if count > 1))
    return found


def unreadable(error: ValueError) -> str:
    """What was found where JSON's syntax is right and Python refuses a value all the same."""
    if isinstance(error, Twice):
        return f"the key `{str(error)[:60]}` twice in one object"
    return f"a number too long to read ({str(error).partition(';')[0]})"


def _parse(text: str, where: str, is_row: bool = False) -> Any:
    try:
        return json.loads(text, object_pairs_hook=keys_once if is_row else None)
    except json.JSONDecodeError as error:
        found = f"not valid JSON ({error.msg} at column {error.colno}): {text[:60]!r}"
        hint = "repair or delete this line"
        raise UserError(Problem(where, found, "one JSON value", hint)) from None
    except ValueError as error:  # Python reads no whole number of more than 4,300 digits
        raise UserError(Problem(where, unreadable(error), "one JSON value")) from None
    except RecursionError:
        found = "brackets nested too deep to read"
        raise UserError(Problem(where, found, "one JSON value")) from None


def parse_object(text: str, where: str) -> dict[str, Any]:
    """A line of a JSONL file. Raises UserError where it is not one JSON object."""
    value = _parse(text, where, is_row=True)
    if not isinstance(value, dict):
        raise UserError(Problem(where, f"a JSON {type(value).__name__}", "one JSON object a line"))
    return value


def _as_row(text: str, where: str, model: type[Row]) -> Row:
    return validated(parse_object(text, where), where, model)


def validated(value: dict[str, Any], where: str, model: type[Row]) -> Row:
    """An object as a model's. Raises UserError with every field that does not fit."""
    # JSON itself is read and written without pydantic, on a bare GPU machine.
    from pydantic import ValidationError

    try:
        return model.model_validate(value)
    except ValidationError as error:
        expected = f"an object of {', '.join(model.model_fields)}"
        problems = []
        for wrong in error.errors():
            field = ".".join(map(str, wrong["loc"]))
            problems.append(Problem(where, f"{field}: {wrong['msg']}", expected))
        raise UserError(problems) from None
