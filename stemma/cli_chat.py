"""The verb `chat`: the shipped model of a recipe, or any GGUF file. `stemma.cli` adds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stemma.cli_options import RUNS, Runs, Set
from stemma.errors import Problem, UserError

SUFFIX = ".gguf"
Model = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE|FILE.gguf",
        help="A name in recipes/, a path to a .yml file, or a GGUF file with a chat template.",
        show_default=False,
    ),
]


def chat(  # noqa: PLR0913  # each is an option of the command line
    model: Model,
    question: Annotated[
        str | None, typer.Argument(help="Answer this and end; without it a prompt opens.")
    ] = None,
    closed_book: Annotated[
        bool, typer.Option("--closed-book", help="Without passages, where the recipe has some.")
    ] = False,
    context: Annotated[
        int | None,
        typer.Option(help="Tokens of the context.", show_default="as trained, at most 4096"),
    ] = None,
    set_: Set = None,
    runs: Runs = RUNS,
) -> None:
    """Talk to the shipped model, or to a GGUF file, on the CPU; without torch."""
    from serve import talk

    if model.lower().endswith(SUFFIX):
        given = {"--closed-book": closed_book, "--set": bool(set_)}
        if wrong := [name for name, is_given in given.items() if is_given]:
            raise UserError(Problem(wrong[0], "a GGUF file has no recipe", "a recipe's name"))
        with talk.a_file(Path(model), context) as asking:
            talk.main(asking, question)
        return
    from stemma.recipe.load import load
    from stemma.runs import Run

    # Its warnings are about building a model, not about asking one.
    recipe = load(model, set_ or [])
    with talk.recipes(recipe, Run(runs / recipe.name), closed_book, context) as asking:
        talk.main(asking, question)
