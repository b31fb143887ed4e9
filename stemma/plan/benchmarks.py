"""The questions that a recipe's benchmarks ask, counted without the harness that asks them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stemma.errors import UserError
from stemma.recipe import task_files
from stemma.recipe.lm_eval_tasks import Place, data_files, place_of
from stemma.recipe.models import Recipe

LINES = {".jsonl", ".ndjson"}
"""Ends of files that hold a question a line."""


def asked(recipe: Recipe) -> dict[str, int | None]:
    """Questions by benchmark, in the recipe's order.

    None where only the harness can tell: groups, its own tasks, files that are not read by lines.
    """
    section = recipe.eval.benchmarks
    if section is None:
        return {}
    place = place_of(recipe)
    own = task_files.index(place.folder).tasks
    counts = {name: _lines(own[name], place) if name in own else None for name in section.tasks}
    most = section.limit
    return {
        name: count if count is None or most is None else min(count, most)
        for name, count in counts.items()
    }


def _lines(path: Path, place: Place) -> int | None:
    """The lines of the files whose rows a task asks; None where they are not questions."""
    try:
        values: dict[str, Any] = task_files.read(path).values
    except UserError:  # `check` tells
        return None
    split = values.get("test_split") or values.get("validation_split")
    listed = (values.get("dataset_kwargs") or {}).get("data_files")
    if not isinstance(listed, dict) or split not in listed or values.get("process_docs"):
        return None
    narrowed = values | {"dataset_kwargs": {"data_files": listed[split]}}
    paths, problems = data_files(narrowed, path.parent, place.root)
    if problems or any(one.suffix not in LINES for one in paths):
        return None
    return sum(bool(line.strip()) for one in paths for line in one.read_bytes().splitlines())
