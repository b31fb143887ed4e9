"""A recipe's text as plain values with the line of every key: strict YAML 1.2, with `extends` and
overrides of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from stemma.errors import Problem, UserError, nearest
from stemma.recipe.axolotl_keys import Keys
from stemma.recipe.secrets import HIDDEN, names_secret, secrets_in


@dataclass
class Document:
    """A parsed recipe and where each of its keys stands."""

    path: Path
    values: dict[str, Any]
    lines: dict[Keys, str]
    problems: list[Problem] = field(default_factory=list)

    def where(self, keys: Sequence[object]) -> str:
        """`file:line` of a key, or of the nearest key around it."""
        names = tuple(str(key) for key in keys)
        around = (names[:length] for length in range(len(names), -1, -1))
        return next(self.lines[key] for key in around if key in self.lines)


def read(path: Path) -> Document:
    """The recipe at `path`, merged over the one it extends.

    Raises UserError where it is not even a mapping.
    """
    document = _parse(path)
    parent_name = document.values.pop("extends", None)
    if parent_name is None:
        return document
    parent = _parse(_parent(document, str(parent_name)))
    if "extends" in parent.values:
        found = f"`{parent_name}` itself extends `{parent.values['extends']}`"
        where = document.where(["extends"])
        raise UserError(
            Problem(where, found, "one level of `extends`", "extend that recipe directly")
        )
    parent.values.pop("name", None)
    merged = _merge(parent.values, document.values)
    lines = parent.lines | document.lines
    return Document(path, merged, lines, [*parent.problems, *document.problems])


def _parent(document: Document, name: str) -> Path:
    folder = document.path.parent
    path = folder / f"{name}.yml"
    if path.is_file() and path != document.path:
        return path
    known = [other.stem for other in sorted(folder.glob("*.yml")) if other != document.path]
    hint = nearest(name, known)
    where = document.where(["extends"])
    raise UserError(
        Problem(where, f"unknown recipe `{name}`", "another recipe of the same folder", hint)
    )


def _parse(path: Path) -> Document:
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True  # they are found below, all of them, with their lines
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError, RecursionError, OSError) as error:
        raise UserError(_not_yaml(path, error)) from None
    if not isinstance(node, MappingNode):
        raise UserError(
            Problem(f"{shown(path)}:1", "no mapping of keys", "a recipe", "see recipes/tiny.yml")
        )
    document = Document(path, {}, {(): f"{shown(path)}:1"})
    _walk(node, (), document, set())
    try:
        document.values = yaml.constructor.construct_document(node)
    except (YAMLError, ValueError) as error:
        raise UserError([*document.problems, _not_yaml(path, error)]) from None
    return document


def _not_yaml(path: Path, error: Exception) -> Problem:
    mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
    where = f"{shown(path)}:{mark.line + 1}" if mark else shown(path)
    text = error.problem if isinstance(error, MarkedYAMLError) else str(error)
    hint = "check indentation, quotes and colons around it"
    return Problem(where, f"not valid YAML: {text}", "YAML 1.2", hint)


def _walk(node: Node, keys: Keys, document: Document, seen: set[int]) -> None:
    """Note the line of every key; duplicate keys and aliases are problems."""
    if id(node) in seen:
        # An alias would make one line the place of two keys, and can blow a small file up without
        # bound.
        found = f"`{'.'.join(keys)}` is a YAML alias"
        hint = "share settings through `train` or `extends`"
        raise UserError(Problem(document.where(keys), found, "the value itself", hint))
    seen.add(id(node))
    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*keys, str(key.value))
            place = f"{shown(document.path)}:{key.start_mark.line + 1}"
            if inner in document.lines:
                found = f"duplicate key `{'.'.join(inner)}`, first given at {document.lines[inner]}"
                document.problems.append(
                    Problem(place, found, "each key once", "delete one of the two")
                )
            document.lines[inner] = place
            _walk(value, inner, document, seen)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*keys, str(index))
            document.lines[inner] = f"{shown(document.path)}:{value.start_mark.line + 1}"
            _walk(value, inner, document, seen)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Deep-merge by key; lists replace; `null` removes what the base has."""
    merged = dict(base)
    for key, value in over.items():
        if value is None and key in base:
            del merged[key]
        elif isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = _merge(base[key], value)
        else:
            merged[key] = value
    return merged


def override(document: Document, text: str) -> None:
    """Apply one `key.path=value` of the command line.

    A wrong key is found later, like one in the file.
    """
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    try:
        parsed = YAML(typ="safe", pure=True).load(value)
    except (YAMLError, ValueError):
        parsed = None
        equals = ""
    is_secret = names_secret(text.replace(".", " ")) or next(secrets_in(parsed, keys), None)
    place = f"--set {name if equals else ''}={HIDDEN}" if is_secret else f"--set {text}"
    if not equals or not all(keys):
        expected = "section.key=value, the value in YAML"
        hint = "e.g. --set dpo.learning_rate=1e-4"
        document.problems.append(Problem(place, "not a setting", expected, hint))
        return
    target: Any = document.values
    for depth, key in enumerate(keys[:-1], start=1):
        target = target.setdefault(key, {}) if isinstance(target, dict) else _item(target, key)
        document.lines.setdefault(keys[:depth], place)
    if not _assign(target, keys[-1], parsed):
        found = f"`{'.'.join(keys[:-1])}` holds no key `{keys[-1]}`"
        document.problems.append(Problem(place, found, "a path into a section"))
    document.lines[keys] = place


def _item(target: Any, key: str) -> Any:
    """The item of a list at the index `key`; None where there is none."""
    is_index = isinstance(target, list) and key.isdecimal() and int(key) < len(target)
    return target[int(key)] if is_index else None


def _assign(target: Any, key: str, value: Any) -> bool:
    """Set a key of a mapping or an item of a list; returns whether there is such a place."""
    if isinstance(target, dict):
        merged = _merge(target, {key: value})
        target.clear()
        target.update(merged)
    elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
        target[int(key)] = value
    else:
        return False
    return True


def shown(path: Path) -> str:
    """A path as a person wants to read it: relative to the current folder where it lies inside."""
    path = path.absolute()
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
