"""YAML within bounds: what is too large, too deep, or no plain value is refused before it is read.

A stranger's recipe may be of any size and hold anything; what gets past here is texts, numbers,
booleans, null, lists and mappings, few enough to be walked through, and each can be printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode

from stemma.errors import SHOWN, Problem, UserError, brief

LONGEST_FILE = 100_000
"""Bytes of a recipe: the longest in `recipes/` has 8,000. YAML is read at 50 to 100 kB a second."""
MOST_ENTRIES = 5_000
"""Lines, and values between commas, of a recipe."""
DEEPEST = 20
"""Lists and mappings in one another."""
LONGEST_TEXT = 20_000
"""Characters of one text."""
LONGEST_KEY = 200
"""Characters of a key: names of data sets and modules are keys too."""
LONGEST_NUMBER = 70
"""Digits of one number: 64 bits are as many in binary."""
WIDEST = 63
"""Bits of a number beside its sign: torch, numpy and JSON readers know no wider ones."""

PLAIN = ("str", "int", "float", "bool", "null", "map", "seq")
KEYS = ("str", "int")
CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Characters that no text of a recipe needs: a terminal obeys some of them, others turn round what
stands beside them, and halves of UTF-16 pairs cannot be written at all."""

Place = Sequence[object]


def read_text(path: Path, where: str) -> str:
    """A recipe's text. Raises UserError where it is too long or no UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        hint = "save it as UTF-8 without UTF-16's byte order mark"
        raise UserError(Problem(where, f"not valid UTF-8: {error.reason}", "UTF-8", hint)) from None
    except OSError as error:
        found = f"cannot be read: {error.strerror}"
        raise UserError(Problem(where, found, "a recipe")) from None
    if len(content) > LONGEST_FILE:
        found = f"longer than {LONGEST_FILE:,} bytes"
        hint = "data belong into files that the recipe names"
        raise UserError(Problem(where, found, "a recipe", hint))
    return text


def composed(text: str, where: str) -> Node | None:
    """The text as nodes, which know their lines. Raises UserError, with a line where there is one.

    `where` is the file, or the option of the command line.
    """
    if problem := _size_problem(text, where):
        raise UserError(problem)
    try:
        node: Node | None = _yaml().compose(text)
    except RecursionError:
        raise UserError(_too_deep(where)) from None
    except (YAMLError, ValueError) as error:
        raise UserError(not_yaml(where, error)) from None
    return node


def constructed(node: Node | None, where: str) -> Any:
    """The value of a node. Raises UserError for one that YAML does not have after all."""
    if node is None:
        return None
    try:
        return _yaml().constructor.construct_document(node)
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(not_yaml(where, error)) from None


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # `document.py` finds them, all of them, with their lines
    return yaml


def _size_problem(text: str, where: str) -> Problem | None:
    """The problem of a text that would take long to read, seen without reading it."""
    entries = max(text.count("\n"), text.count(","))
    if entries > MOST_ENTRIES or len(text) > LONGEST_FILE:
        found = f"more than {MOST_ENTRIES:,} lines or values"
        return Problem(where, found, "a recipe", "data belong into files that the recipe names")
    depth = 0
    for bracket in re.findall(r"[\[{\]}]", text):
        depth += 1 if bracket in "[{" else -1
        # Brackets also stand in texts, so that their count says little before it is large.
        if depth > 10 * DEEPEST:
            return _too_deep(where)
    return None


def _too_deep(where: str) -> Problem:
    found = f"lists and mappings more than {DEEPEST} deep in one another"
    return Problem(where, found, "a recipe, which is 6 deep")


def not_yaml(where: str, error: Exception) -> Problem:
    """The problem of a text that is no YAML 1.2."""
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    text = error.problem if isinstance(error, MarkedYAMLError) else str(error).splitlines()[0]
    place = f"{where}:{mark.line + 1}" if mark and not where.startswith("--") else where
    hint = "check indentation, quotes and colons around it"
    return Problem(place, f"not valid YAML: {readable(str(text))}", "YAML 1.2", hint)


def node_problem(node: Node, keys: Place, where: str) -> Problem | None:
    """What keeps a node from being a plain value of a recipe."""
    name = ".".join(map(str, keys))
    if len(keys) > DEEPEST:
        return _too_deep(where)
    tag = _tag(node)
    if tag not in PLAIN:
        hint = "write it in quotes, if it is text"
        return Problem(where, f"`{name}` is a YAML {readable(tag)}", "a plain value", hint)
    is_number = tag in ("int", "float") and isinstance(node, ScalarNode)
    if is_number and len(node.value) > LONGEST_NUMBER:
        found = f"`{name}` is a number of {len(node.value):,} digits"
        return Problem(where, found, f"at most {WIDEST} bits")
    return None


def key_problem(node: Node, section: Place, where: str) -> Problem | None:
    """What keeps a node from being a key of a mapping."""
    tag = _tag(node)
    if not isinstance(node, ScalarNode) or tag not in KEYS:
        found = f"a key that is a YAML {readable(tag)}"
    elif len(node.value) > LONGEST_KEY:
        found = f"a key of {len(node.value):,} characters"
    elif wrong := CONTROLS.search(node.value):
        found = f"a key with the character {_called(wrong[0])}"
    else:
        return None
    inside = ".".join(map(str, section)) or "the recipe"
    return Problem(where, f"{found}, in {inside}", "names as keys")


def value_problems(value: Any, keys: Place = ()) -> Iterator[tuple[Place, str, str]]:
    """(key, found, expected) of everything below `keys` that cannot be computed with or printed."""
    name = ".".join(map(str, keys))
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from value_problems(inner, (*keys, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from value_problems(inner, (*keys, str(number)))
    elif isinstance(value, str):
        if wrong := CONTROLS.search(value):
            yield keys, f"`{name}` holds the character {_called(wrong[0])}", "printable text"
        if len(value) > LONGEST_TEXT:
            found = f"`{name}` is a text of {len(value):,} characters"
            yield keys, found, f"at most {LONGEST_TEXT:,}"
    elif isinstance(value, int) and value.bit_length() > WIDEST:
        found = f"`{name}` is a number of {value.bit_length():,} bits"
        yield keys, found, f"at most {WIDEST}, and a sign"


def readable(text: str) -> str:
    """A text of the user's as a message quotes it: what is not printable escaped, long ones cut."""
    return text if text.isprintable() and len(text) <= SHOWN else brief(text)


def _tag(node: Node) -> str:
    return str(node.tag).removeprefix("tag:yaml.org,2002:")


def _called(character: str) -> str:
    return f"U+{ord(character):04X}"
