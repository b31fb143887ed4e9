"""Help texts of arguments, and `--version`. `stemma.cli` adds them."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import click
import typer
import typer.main
from typer.core import TyperArgument

from stemma import ROOT, __version__
from stemma.visible import tell


class Argument(TyperArgument):
    """An argument that keeps its help text.

    Typer 0.25, which Axolotl pins, sets the text first and then calls click's own `__init__`, which
    since click 8.5 takes a text itself and, given none, sets it to None.
    """

    def __init__(self, *, help: str | None = None, **settings: Any) -> None:
        super().__init__(help=help, **settings)
        self.help = help


typer.main.TyperArgument = Argument  # type: ignore[misc]


def _tell_version(value: bool) -> None:
    if value:
        from stemma.origin import git_commit

        python = ".".join(map(str, sys.version_info[:3]))
        tell(f"stemma {__version__} (commit {git_commit()[:12]}, Python {python}, {ROOT})")
        raise click.exceptions.Exit(0)


Version = Annotated[
    bool,
    typer.Option(
        "--version",
        callback=_tell_version,
        is_eager=True,
        help="Say which Stemma this is: version, commit, Python, place.",
    ),
]


def options(version: Version = False) -> None:  # its callback tells it
    """One YAML recipe, from a base model to tested answers on a laptop."""
