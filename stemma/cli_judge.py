"""The verb `judge`: a person compares answers. `stemma.cli` adds it."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from stemma.cli_options import RUNS, Name, Runs, Set, open_recipe, say
from stemma.visible import tell

By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who judges.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0: any free one.")]


def judge(recipe: Name, by: By = None, port: Port = 0, set_: Set = None, runs: Runs = RUNS) -> None:
    """Judge answers yourself on a local page, blind, and see how far the model judge agrees."""
    from eval.judge.sit import sit

    opened, run = open_recipe(recipe, set_, runs)
    person = by or getpass.getuser()
    for line in sit(run, person, port, opened.seed, lambda text: say(f"[judge] {text}")):
        tell(line)
