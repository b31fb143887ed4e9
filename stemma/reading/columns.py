r"""Values of a row by what a recipe says of its columns:

question                    a column, under its own name first
answers.text[0]             a path into objects and lists
"{instruction}\n\n{input}"  several joined; a line whose columns are all empty goes
=physics                    the text itself
"""

from __future__ import annotations

import datetime
import decimal
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stemma.errors import Problem, nearest
from stemma.reading.printed import describe, unprinted
from stemma.reading.tables import other_delimiter

_NAMED = re.compile(r"\{([^{}]+)\}")
_STEP = re.compile(r"[^.\[\]]+|\[(\d+)\]")
_SCALARS = (str, int, float, decimal.Decimal, datetime.date, datetime.time)


class NoColumn(Exception):
    """A path that the row does not have."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


def no_column(where: str, error: NoColumn, known: Sequence[str], wanted: str = "") -> Problem:
    """The problem of a column that a table does not have."""
    found = f"no column {error.path!r}" + (f" for `{wanted}`" if wanted else "")
    hint = other_delimiter(known) or nearest(error.path, known)
    return Problem(where, found, f"one of {', '.join(known)}", hint)


class NoText(Exception):
    """A value that is no text where one must stand."""

    def __init__(self, path: str, value: Any) -> None:
        super().__init__(f"`{path}` holds {describe(value)}")
        inner = next(iter(paths(value, path))) if isinstance(value, dict | list) and value else ""
        self.hint = f"give a path into it, e.g. `{inner}`" if inner else ""


class Cells:
    """One row, and which of its columns were read."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self.read: set[str] = set()

    def value(self, wanted: str) -> Any:
        """The value that the recipe means by `wanted`. Raises NoColumn, or NoText for a part of a
        joined text."""
        if wanted.startswith("="):
            return wanted[1:]
        if wanted not in self.row and _NAMED.search(wanted):
            return self._joined(wanted)
        return self._at(wanted)

    def text(self, wanted: str | None) -> str:
        """The value as text, "" where it is missing. Raises NoColumn and NoText."""
        return "" if wanted is None else as_text(self.value(wanted), wanted)

    def _at(self, path: str) -> Any:
        if path in self.row:
            self.read.add(path)
            return self.row[path]
        value: Any = self.row
        for number, step in enumerate(_STEP.finditer(path)):
            if number == 0 and step[0] in self.row:
                self.read.add(step[0])
            value = _step(value, step, path)
        return value

    def _joined(self, wanted: str) -> str:
        lines: list[tuple[str, bool]] = []
        for line in wanted.split("\n"):
            values = {name: as_text(self._at(name), name) for name in _NAMED.findall(line)}
            text = _NAMED.sub(lambda found, known=values: known[found[1]], line)  # type: ignore[misc]
            lines.append((text, bool(values) and not any(values.values())))
        return "\n".join(_without_empty(lines)).strip()


def names_in(wanted: str) -> list[str]:
    """The columns that a text joins, or the one it names; none for a text itself."""
    return [] if wanted.startswith("=") else _NAMED.findall(wanted) or [wanted]


def find_fault(wanted: str) -> str | None:
    """The mistake in how columns are named, where it can be seen without a row; None: there is
    none."""
    if wanted.startswith("=") or not re.search(r"[{}]", wanted):
        return None
    if re.search(r"[{}]", _NAMED.sub("", wanted)):
        return f"`{wanted}`: braces must stand in pairs around a column, e.g. `{{instruction}}`"
    if "\\n" in wanted:
        return f'`{wanted}`: \\n is a new line inside double quotes only, e.g. "{{a}}\\n\\n{{b}}"'
    return None


def as_text(value: Any, path: str) -> str:
    """A cell as text. Raises NoText for lists, objects and bytes: nobody means what Python prints
    of them."""
    if is_missing(value):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, _SCALARS):
        raise NoText(path, value)
    return str(value).strip()


def is_missing(value: Any) -> bool:
    """Whether there is nothing in a cell."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or value in ([], {}) or (isinstance(value, float) and math.isnan(value))


def paths(value: Any, prefix: str = "") -> Iterator[str]:
    """The paths of all texts and numbers in a value; of lists the first element's."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from paths(inner, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, list) and value:
        yield from paths(value[0], f"{prefix}[0]")
    else:
        yield prefix


def _step(value: Any, step: re.Match[str], path: str) -> Any:
    """One step of a path; None behind what is missing, and behind the end of a list."""
    if isinstance(value, str):  # a CSV file holds lists and objects as text
        value = unprinted(value) if value.strip() else None
    if value is None:
        return None
    if isinstance(value, Mapping) and step[0] in value:
        return value[step[0]]
    place = step[1] or (step[0] if step[0].isdecimal() else None)
    if isinstance(value, list) and place is not None:
        return value[int(place)] if int(place) < len(value) else None
    raise NoColumn(path)


def _without_empty(lines: list[tuple[str, bool]]) -> Iterator[str]:
    """Lines without those whose columns are empty, and without the blank ones behind each of
    them."""
    gone = False
    for text, is_empty in lines:
        gone = is_empty or (gone and not text.strip())
        if not gone:
            yield text.rstrip() if not text.strip() else text
