"""The verb `search`: what a recipe's database finds. `stemma.cli` adds it."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from stemma.cli_options import RUNS, Name, Runs, Set, open_recipe


def search(
    recipe: Name,
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    arm: Annotated[
        Literal["bm25", "dense", "hybrid"] | None,
        typer.Option(help="What orders the hits.", show_default="as the database says"),
    ] = None,
    set_: Set = None,
    runs: Runs = RUNS,
) -> None:
    """Show what the recipe's passages hold on something, with each arm's scores; without torch."""
    from serve import search as laptop

    laptop.main(*open_recipe(recipe, set_, runs), query, arm)
