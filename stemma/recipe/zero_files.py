"""DeepSpeed's files beside a recipe: JSON that names a ZeRO stage."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from stemma.errors import Problem, brief, nearest
from stemma.plain_files import not_plain
from stemma.recipe.folders import is_possible
from stemma.recipe.plain_yaml import readable

LONGEST_FILE = 100_000
"""Bytes of a DeepSpeed file."""


def zero_stage(path: Path) -> int:
    """The ZeRO stage (0 to 3) of a DeepSpeed file.

    Raises ValueError, KeyError or TypeError for a file that names none.
    """
    with path.open("rb") as file:
        content = file.read(LONGEST_FILE + 1)
    if len(content) > LONGEST_FILE:
        raise ValueError(f"longer than {LONGEST_FILE:,} bytes")
    stage = json.loads(content)["zero_optimization"]["stage"]
    if type(stage) is not int or stage not in range(4):
        raise ValueError(f"the stage is {stage!r}")
    return stage


def deepspeed_problems(name: str, place: str, folder: Path) -> Iterator[Problem]:
    """Everything wrong with the file of this name, below the recipe's folder."""
    if not is_possible(name):
        yield Problem(place, f"no such file: {readable(name)}", "a file beside the recipe")
        return
    path = folder / name
    if lacks := not_plain(path):
        others = sorted(path.parent.glob("*.json"))
        hint = nearest(name, [str(Path(name).parent / other.name) for other in others])
        yield Problem(place, f"{lacks}: {path}", "a file beside the recipe", hint)
        return
    try:
        zero_stage(path)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        found = f"{path} is no DeepSpeed configuration: {brief(error)}"
        yield Problem(place, found, "JSON with zero_optimization.stage: 0, 1, 2 or 3")
