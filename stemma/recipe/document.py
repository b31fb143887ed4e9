"""A recipe's text as plain values with the line of every key: YAML 1.2 within the bounds of
`plain_yaml.py`, with `extends` and overrides of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from stemma.errors import PROBLEMS_SHOWN, Problem, UserError, nearest
from stemma.recipe.axolotl_keys import Keys
from stemma.recipe.plain_yaml import (
    CONTROLS,
    DEEPEST,
    LONGEST_KEY,
    composed,
    constructed,
    key_problem,
    node_problem,
    read_text,
    readable,
    value_problems,
)
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
    """The file of the recipe that is extended: another one of the same folder, links followed."""
    folder = document.path.parent
    path = folder / f"{name}.yml"
    is_name = re.fullmatch(r"[\w.-]+", name) is not None and len(name) <= LONGEST_KEY
    if is_name and path.is_file() and path.resolve() != document.path.resolve():
        if path.resolve().parent == folder.resolve():
            return path
        found = f"`{name}` is a link that leads out of the recipe's folder"
        raise UserError(Problem(document.where(["extends"]), found, "a recipe in the same folder"))
    known = [other.stem for other in sorted(folder.glob("*.yml")) if other != document.path]
    where = document.where(["extends"])
    expected = "another recipe of the same folder"
    found = f"unknown recipe `{readable(name)}`"
    raise UserError(Problem(where, found, expected, nearest(name, known)))


def _parse(path: Path) -> Document:
    place = shown(path)
    node = composed(read_text(path, place), place)
    if not isinstance(node, MappingNode):
        raise UserError(
            Problem(f"{place}:1", "no mapping of keys", "a recipe", "see recipes/tiny.yml")
        )
    document = Document(path, {}, {(): f"{place}:1"})
    _Walk(document, lambda node: f"{place}:{node.start_mark.line + 1}").into(node, ())
    try:
        document.values = constructed(node, place)
    except UserError as error:
        raise UserError([*document.problems, *error.problems]) from None
    problems = list(value_problems(document.values))
    if problems:
        told = (Problem(document.where(keys), *rest) for keys, *rest in problems[:PROBLEMS_SHOWN])
        raise UserError([*document.problems, *told])
    return document


@dataclass
class _Walk:
    """A walk through a document's nodes: notes where each key stands; duplicate keys are problems,
    aliases and what is no plain value end it."""

    document: Document
    place: Callable[[Node], str]
    seen: set[int] = field(default_factory=set)

    def into(self, node: Node, keys: Keys) -> None:
        where = self.document.where(keys)
        if id(node) in self.seen:
            # An alias would make one line the place of two keys, and can blow a small file up
            # without bound.
            found = f"`{'.'.join(keys)}` is a YAML alias"
            hint = "share settings through `train` or `extends`"
            raise UserError(Problem(where, found, "the value itself", hint))
        self.seen.add(id(node))
        if problem := node_problem(node, keys, where):
            raise UserError(problem)
        if isinstance(node, MappingNode):
            for key, value in node.value:
                self._key(key, keys)
                self.into(value, (*keys, str(key.value)))
        elif isinstance(node, SequenceNode):
            for index, value in enumerate(node.value):
                inner = (*keys, str(index))
                self.document.lines[inner] = self.place(value)
                self.into(value, inner)

    def _key(self, key: Node, section: Keys) -> None:
        place = self.place(key)
        if problem := key_problem(key, section, place):
            raise UserError(problem)
        keys = (*section, str(key.value))
        lines = self.document.lines
        if keys in lines:
            found = f"duplicate key `{'.'.join(keys)}`, first given at {lines[keys]}"
            hint = "delete one of the two"
            self.document.problems.append(Problem(place, found, "each key once", hint))
        lines[keys] = place


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
    place = _said(text)
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    try:
        if not equals or not all(keys) or len(keys) > DEEPEST or CONTROLS.search(name):
            expected = "section.key=value, the value in YAML"
            hint = "e.g. --set dpo.learning_rate=1e-4"
            raise UserError(Problem(place, "not a setting", expected, hint))
        parsed = _parse_value(value, keys, place)
    except UserError as error:
        document.problems += error.problems
        return
    target: Any = document.values
    for depth, key in enumerate(keys[:-1], start=1):
        target = target.setdefault(key, {}) if isinstance(target, dict) else _item(target, key)
        document.lines.setdefault(keys[:depth], place)
    if not _assign(target, keys[-1], parsed):
        found = f"`{'.'.join(keys[:-1])}` holds no key `{keys[-1]}`"
        document.problems.append(Problem(place, found, "a path into a section"))
    document.lines[keys] = place


def _said(text: str) -> str:
    """An override as a message quotes it: without the value where that may be a secret."""
    name, equals, value = text.partition("=")
    keys = tuple(name.strip().split("."))
    if names_secret(text.replace(".", " ")) or next(secrets_in(value, keys), None):
        return f"--set {readable(name) if equals else ''}={HIDDEN}"
    return f"--set {readable(text)}"


def _parse_value(text: str, keys: Keys, place: str) -> Any:
    """The value of an override of `keys`. Raises UserError for one that no file could hold."""
    node = composed(text, place)
    if node is None:
        return None
    beside = Document(Path(), {}, {(): place})
    _Walk(beside, lambda _: place).into(node, keys)
    value = constructed(node, place)
    problems = [Problem(place, *rest) for _, *rest in value_problems(value, keys)]
    if beside.problems or problems:
        raise UserError([*beside.problems, *problems[:PROBLEMS_SHOWN]])
    return value


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
