"""Safety of a recipe: no secret in it or in a file it names, no address that it may not ask, and no
secret in the messages about it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from stemma.errors import PROBLEMS_SHOWN, Problem, UserError
from stemma.recipe import task_files
from stemma.recipe.addresses import address_problems
from stemma.recipe.document import Document, shown
from stemma.recipe.models import Recipe
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.secrets import (
    HIDDEN,
    HINT,
    Secret,
    secret_problem,
    secrets_in,
    shapes_in,
    without_secrets,
)

SETTING = "--set "
MOST_BYTES = 1 << 18
"""Of a file that is looked through; templates and settings are smaller."""
LOOKED_THROUGH = {".jinja", ".yaml", ".yml", ".py"}


def with_safety(
    document: Document, recipe: Recipe | None, problems: Sequence[Problem]
) -> list[Problem]:
    """The recipe's problems and those of its safety; none of them shows a secret.

    A key that holds a secret has that one problem.
    """
    secrets = list(secrets_in(document.values))
    told = tuple(f"`{'.'.join(one.keys)}`" for one in secrets)
    others = [*problems, *address_problems(document.values, document.where)]
    found = [
        *(one for one in others if not one.found.startswith(told)),
        *(secret_problem(one, document.where) for one in secrets),
        *_in_comments(document, secrets),
        *_in_files(document, recipe),
    ]
    return hidden(found, secrets)


def hidden(problems: Iterable[Problem], secrets: Iterable[Secret] = ()) -> list[Problem]:
    """The problems without the words of any secret, nor of what looks like one."""
    known = [one.text for one in secrets]
    return [
        replace(
            one,
            where=without_secrets(one.where, known),
            found=without_secrets(one.found, known),
            expected=without_secrets(one.expected, known),
            hint=without_secrets(one.hint, known),
        )
        for one in problems
    ]


def _in_comments(document: Document, secrets: Sequence[Secret]) -> Iterator[Problem]:
    """What looks like a key elsewhere in the text of the recipe and of the one it extends."""
    told = [one.text for one in secrets]
    held = {document.where(one.keys) for one in secrets}
    places = {one.rpartition(":")[0] for one in document.lines.values()}
    for name in sorted(one for one in places if not one.startswith(SETTING)):
        for line, kind, text in _lines(_read(Path(name))):
            place = f"{name}:{line}"
            if place not in held and not any(text in one for one in told):
                yield _held(place, f"the text holds {kind}")


def _held(place: str, found: str) -> Problem:
    return Problem(
        place, f"{found}, which is not shown", "no secret in a recipe or its files", HINT
    )


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """The line, kind and words of all that looks like a key."""
    for kind, found in islice(shapes_in(text), PROBLEMS_SHOWN):
        yield text[: text.index(found)].count("\n") + 1, kind, found


def _read(path: Path) -> str:
    """The file's text; nothing of one that is not there, no file, or no settings by its size."""
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _in_files(document: Document, recipe: Recipe | None) -> Iterator[Problem]:
    """The secrets in the templates, prompts, DeepSpeed and task files that the recipe names."""
    folder = document.path.parent
    for name in dict.fromkeys(_named(document.values, "deepspeed")):
        yield from _in_json(folder / name)
    templates = [folder / name for name in _named(document.values, "chat_template")]
    for path in dict.fromkeys([*templates, *(_others(recipe) if recipe else ())]):
        if path.suffix in (".yaml", ".yml"):
            yield from _in_task(path)
        yield from _in_text(path, _read(path))


def _named(values: Any, key: str) -> Iterator[str]:
    """Every text under a key of this name, anywhere in a recipe."""
    for name, value in values.items() if isinstance(values, dict) else ():
        if name == key:
            yield from (one for one in (value if isinstance(value, list) else [value]) if _is(one))
        yield from _named(value, key)


def _is(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value


def _others(recipe: Recipe) -> Iterator[Path]:
    """The recipe's prompts and task files."""
    for dataset in recipe.data.sets().values():
        for source in dataset.sources:
            yield from source.own_files(recipe.path.parent).values()
    if recipe.data.sft and recipe.data.sft.raft:
        yield PromptFiles(recipe.path.parent).path(recipe.data.sft.raft.prompt)
    if not recipe.is_data_only:
        named = recipe.files("eval").values()
        yield from (path for path in named if path.suffix in LOOKED_THROUGH)


def _in_text(path: Path, text: str) -> Iterator[Problem]:
    for line, kind, _ in _lines(text):
        yield _held(f"{shown(path)}:{line}", f"it holds {kind}")


def _in_json(path: Path) -> Iterator[Problem]:
    text = _read(path)
    secrets: list[Secret] = []
    with suppress(ValueError, RecursionError):  # told by the check of DeepSpeed files
        secrets = list(secrets_in(json.loads(text)))
    for secret in secrets:
        line = 1
        if match := re.search(rf'"{re.escape(secret.keys[-1])}"\s*:', text):
            line = text[: match.start()].count("\n") + 1
        yield _file_problem(secret, f"{shown(path)}:{line}")
    if not secrets:
        yield from _in_text(path, text)


def _in_task(path: Path) -> Iterator[Problem]:
    with suppress(UserError):  # told by the check of benchmarks
        task = task_files.read(path)
        for secret in secrets_in(task.values):
            if secret.kind == "named":
                yield _file_problem(secret, task.where(secret.keys[0]))


def _file_problem(secret: Secret, place: str) -> Problem:
    kind = "a secret by its name" if secret.kind == "named" else secret.kind
    path = ".".join(secret.keys) or HIDDEN
    return _held(place, f"`{path}` holds {kind}")
