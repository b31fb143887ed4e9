"""What a run keeps of the commands given to it: the data's folder, and warnings told once.

It lies in the run's folder beside the stages and may be deleted: nothing that was made depends on
it. Only commands that run stages write it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from stemma.errors import UserError
from stemma.jsonl import read_object, write_json
from stemma.recipe.check import unpinned
from stemma.recipe.document import read
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.strict import Record

KEPT = "remembered.json"
ROOT_KEY = "data.root"


class Remembered(Record):
    """The record in a run's folder."""

    data: str | None = None
    """The folder that `DATA=` gave, whole."""
    in_place_of: str = "."
    """What the recipe itself said then: once it says another, `data` holds no more."""
    told: list[str] = []
    """Warnings that were told."""


def recalled(run: Run, recipe: Path, given: Sequence[str]) -> list[str]:
    """The override that the run remembers; none where the command or the recipe now says other."""
    kept = _read(run)
    if kept.data is None or any(map(_is_root, given)) or kept.in_place_of != _own_root(recipe):
        return []
    return [f"{ROOT_KEY}={_quoted(kept.data)}"]


def tell_other_data(recipe: Recipe, run: Run, say: Callable[[str], None]) -> None:
    """Say so where the data are to be read from another folder than the run was given before, or
    where that one is gone."""
    before = _read(run).data
    now = Path(recipe.data.root).absolute()
    if before and Path(before) != now:
        say(f"note: data are read from {now}; this run was given DATA={before} before")
    elif before and not now.is_dir():
        say(f"note: this run was given DATA={before}, which is no folder now; say where it lies")


def remember(recipe: Recipe, run: Run, say: Callable[[str], None]) -> None:
    """Keep the folder that the command gave, and tell the warnings that are told once a run."""
    kept = _read(run)
    warnings = [one for one in unpinned(recipe) if one not in kept.told]
    for warning in warnings:
        say(f"warning: {warning}")
    data, own = None, "."
    if any(map(_is_root, recipe.overrides)):
        data, own = str(Path(recipe.data.root).absolute()), _own_root(recipe.path)
    now = Remembered(data=data, in_place_of=own, told=[*kept.told, *warnings])
    if now != kept:
        # Runs may be read-only: then it is to be said again.
        with suppress(OSError):
            write_json(run.root / KEPT, now.model_dump(mode="json"))


def _read(run: Run) -> Remembered:
    try:
        return Remembered.model_validate(read_object(run.root / KEPT))
    except (OSError, ValueError, UserError):  # a ValidationError is a ValueError
        return Remembered()


def _is_root(override: str) -> bool:
    return override.partition("=")[0].strip() == ROOT_KEY


def _own_root(recipe: Path) -> str:
    """What the recipe's file says; the default of what cannot be read, which is told by others."""
    try:
        data: Any = read(recipe).values.get("data")
    except UserError:
        return "."
    return str(data.get("root", ".")) if isinstance(data, dict) else "."


def _quoted(path: str) -> str:
    """A path as a YAML text, whatever is in it."""
    return "'" + path.replace("'", "''") + "'"
