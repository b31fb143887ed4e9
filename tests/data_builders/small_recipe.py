"""A recipe with nothing but a data section, to run the data stage on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from data_builders.flow import Generate, Kind, Placed, SourceContext
from stemma import ROOT
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import Work

LEAST: dict[str, Any] = {
    "name": "small",
    "base_model": "models/any",
    "chat_template": "templates/qa.jinja",
    "export": {"from": "base", "gguf": {"types": ["F16"]}, "ship": "gguf-F16"},
    "eval": {"variants": ["base"], "tasks": [{"task": "mcq"}]},
}
"""All that a recipe must say, but its data."""


def make_recipe(data: dict[str, Any], seed: int = 42) -> Recipe:
    return Recipe.model_validate(LEAST | {"data": data, "seed": seed})


def make_dpo_recipe(**changes: Any) -> Recipe:
    """A recipe that trains on pairs, on a base model that lies nowhere."""
    pairs = {"dpo": {"sources": [{"source": "stem_exercises"}]}}
    plain = LEAST | {
        "base_model": "nobody/nothing",
        "path": ROOT / "recipes" / "small.yml",
        "train": {"sequence_len": 20},
        "dpo": {"start_from": "base"},
        "data": pairs,
    }
    return Recipe.model_validate(plain | changes)


def make_work(runs: Path, data: dict[str, Any], seed: int = 42) -> Work:
    work = Work(make_recipe(data, seed), Run(runs / "small"), "data", lambda _: None)
    work.folder.mkdir(parents=True, exist_ok=True)
    return work


def make_context(
    kind: Kind, root: Path, placed: tuple[Placed, ...] = (), generate: Generate | None = None
) -> SourceContext:
    return SourceContext(kind, root, 42, placed, lambda _: None, generate)


def write_lines(path: Path, *rows: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
