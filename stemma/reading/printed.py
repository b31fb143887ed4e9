"""Lists and objects that a file holds as text, as JSON or as a program prints them, pandas' CSV
above all:

    {"text": ["Ann"]}   {'text': ['Ann']}   {'text': array(['Ann'], dtype=object)}   ['Ann' 'Anna']

Where a path leads into one it is read. Where a text is wanted, one cell cannot tell: `[1, 2]`
answers a question of mathematics, and `['a', 'b']` one about a program. A column that holds nothing
else can.
"""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from stemma.errors import Problem

LONGEST = 1 << 20
"""Characters of a print that is read; JSON may be longer."""
_VALUES = (tokenize.STRING, tokenize.NUMBER)
_TYPES = (*_VALUES, tokenize.NAME, tokenize.OP)
_LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
_ANSWERS = {"text", "answer_start"}
"""What SQuAD's `answers` hold: no text means that."""


def unprinted(value: Any) -> Any:
    """The list or object that a text holds; anything else as it is."""
    found = read_printed(value) if isinstance(value, str) else None
    return value if found is None else found


def read_printed(text: str) -> list[Any] | dict[Any, Any] | None:
    """The list or object that a text holds, if that is all it holds."""
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "{}"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = _read_python(text) if len(text) <= LONGEST else None
    return found if isinstance(found, list | dict) else None


def _read_python(text: str) -> Any:
    try:
        found = ast.literal_eval(" ".join(_with_commas(text)))
        return None if isinstance(found, tuple) else _plain(found)  # several, one behind the other
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        return None


def _with_commas(text: str) -> Iterator[str]:
    """The tokens of Python's or numpy's print, which writes arrays as `array([…], dtype=object)`
    and `['a' 'b']`: read as Python the second would be one text. Raises ValueError where numpy left
    values out (`...`)."""
    tokens = [
        one
        for one in tokenize.generate_tokens(io.StringIO(text).readline)
        if one.type not in _LAYOUT
    ]
    brackets = list[str]()
    before = None
    at = 0
    while at < len(tokens):
        one = tokens[at]
        behind = tokens[at + 1].string if at + 1 < len(tokens) else ""
        at += 1
        if one.type not in _TYPES or one.string == "...":
            raise ValueError(one.string)
        if one.string == "array" and behind == "(":
            brackets.append("array")
            at += 1
        elif one.string == "," and behind == "dtype":
            at += 3
        elif one.string == ")" and brackets and brackets.pop() == "array":
            continue
        else:
            brackets += ["("] if one.string == "(" else []
            if before and _ends(before) and _begins(one):
                yield ","
            yield one.string
            before = one


def _ends(token: tokenize.TokenInfo) -> bool:
    return token.type in _VALUES or token.string in ("]", "}")


def _begins(token: tokenize.TokenInfo) -> bool:
    return token.type in _VALUES or token.string in ("[", "{")


def _plain(value: Any) -> Any:
    """Lists, objects, texts and numbers. Raises ValueError for all else that Python can write
    (sets, bytes)."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if value is None or isinstance(value, str | int | float):
        return value
    raise ValueError(value)


@dataclass
class _Column:
    texts: int = 0
    prints: int = 0
    first: str = ""
    """Where the first print stands."""
    example: str = ""
    is_json: bool = True
    is_answers: bool = False


@dataclass
class Prints:
    """Columns of a source that hold lists and objects as text where texts are wanted."""

    columns: dict[str, _Column] = field(default_factory=dict)

    def note(self, column: str, cell: str, where: str) -> None:
        seen = self.columns.setdefault(column, _Column())
        found = read_printed(cell)
        if found is None or not _is_structure(found):
            seen.texts += found is None or len(found) > 0  # an empty list says nothing
            return
        seen.prints += 1
        seen.first, seen.example = (
            (seen.first, seen.example) if seen.example else (where, cell.strip())
        )
        seen.is_json &= _is_json(cell)
        seen.is_answers |= isinstance(found, dict) and found.keys() >= _ANSWERS

    def problems(self) -> Iterator[Problem]:
        """Columns of Python's prints, and SQuAD's answers however they are written: nobody trains
        on those."""
        for name, seen in self._printed():
            if not seen.is_json or seen.is_answers:
                more = f" ({seen.prints:,} cells)" if seen.prints > 1 else ""
                found = f"`{name}` holds lists or objects as text: {_short(seen.example)}{more}"
                hint = f"give a path into it, e.g. `{path_into(name, seen.example)}`"
                yield Problem(
                    seen.first, found, "a text", f'{hint}; to train on it as it is: "{{{name}}}"'
                )

    def remarks(self) -> Iterator[str]:
        """Columns of JSON: there are models that learn to answer in it."""
        for name, seen in self._printed():
            if seen.is_json and not seen.is_answers:
                yield f"`{name}` holds JSON, which trains as it stands: {_short(seen.example)}"

    def _printed(self) -> Iterator[tuple[str, _Column]]:
        return (
            (name, one)
            for name, one in self.columns.items()
            if one.prints and (one.is_answers or not one.texts)
        )


def path_into(name: str, cell: str) -> str:
    """A path to the first text in a printed cell."""
    value = unprinted(cell)
    while isinstance(value, list | dict) and value:
        if isinstance(value, dict):
            key, value = next(iter(value.items()))
            name += f".{key}"
        else:
            name = f"{name}[0]"
            value = value[0]
    return name


def _is_structure(value: list[Any] | dict[Any, Any]) -> bool:
    """Whether it holds texts or has names, and is no list of numbers."""
    if isinstance(value, dict):
        return bool(value) and all(isinstance(key, str) for key in value)
    return any(
        isinstance(one, str) or (isinstance(one, list | dict) and _is_structure(one))
        for one in value
    )


def _is_json(cell: str) -> bool:
    try:
        json.loads(cell)
    except (ValueError, RecursionError):
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


def describe(value: Any) -> str:
    """A value in a few words: `a list of 3`, `an object of text, label`."""
    if isinstance(value, dict):
        names = ", ".join(map(str, list(value)[:5])) + (", …" if len(value) > 5 else "")
        return f"an object of {names}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"the {type(value).__name__} {str(value)[:40]!r}"
