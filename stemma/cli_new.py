"""Verb that writes a first recipe from somebody's own files. `stemma.cli` adds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stemma.cli_options import say
from stemma.visible import tell

NewName = Annotated[str, typer.Argument(metavar="NAME", help="The recipe's name, e.g. `physics`.")]
Files = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Tables (CSV, TSV, JSONL, JSON, Parquet), folders of them, documents to search "
        "(Markdown, HTML, PDF, text).",
    ),
]
Like = Annotated[str, typer.Option(help="Take model and template of this recipe.")]
Replace = Annotated[bool, typer.Option("--force", help="Replace recipes of these names.")]


def new(name: NewName, files: Files, like: Like = "qwen2.5-0.5b", force: Replace = False) -> None:
    """Look at data files and write a recipe for them, and a tiny one to try it with."""
    from data_builders.new_recipe.run import Order, make_recipe

    for line in make_recipe(Order(name, files, like, force=force)):
        tell(line)
    tiny, verbs = f"RECIPE={name}-tiny", ("preview", "all")
    commands = [*(f"make {verb} {tiny}" for verb in verbs), f"make rehearse RECIPE={name}"]
    say(f"next: {'; '.join(commands)}")
