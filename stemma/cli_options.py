"""Options that several verbs of the command line share, and how each verb opens its recipe."""

from __future__ import annotations

import shlex
import sys
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from click.core import ParameterSource

from stemma import ROOT
from stemma.errors import Problem, UserError
from stemma.visible import tell

if TYPE_CHECKING:
    from stemma.recipe.models import Recipe
    from stemma.runs import Run


def recipe_names(incomplete: str) -> list[str]:
    """The names in `recipes/` that a shell may complete a word to."""
    found = (path.stem for path in (ROOT / "recipes").glob("*.yml"))
    return sorted(name for name in found if name.startswith(incomplete))


NAME_HELP = "A name in recipes/, or a path to a .yml file."
SET_HELP = "Override a recipe key; may be repeated."
Name = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help=NAME_HELP, show_default=False, autocompletion=recipe_names
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RECIPE]...", help=NAME_HELP, show_default=False, autocompletion=recipe_names
    ),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help=SET_HELP, show_default=False)
]
Force = Annotated[bool, typer.Option("--force", help="Do the work again even if it is up to date.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what is up to date and what would run.")
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="VARIANT[/TASK]",
        help="Measure only this, and keep it for a later `eval`; may be repeated.",
        show_default=False,
    ),
]
Seal = Annotated[
    bool, typer.Option("--seal", help="Give manifests of an earlier Stemma a digest of themselves.")
]
RUNS = Path("runs")


def default_runs() -> Path:
    """`runs` beside `recipes`, in the checkout, wherever the command is given."""
    from stemma.recipe import load

    checkout = load.RECIPES.parent
    return RUNS if checkout.samefile(".") else checkout / RUNS


def _placed(context: typer.Context, given: Path) -> Path:
    """The folder of the runs: whole where it is not below the checkout, in which engines run."""
    if context.get_parameter_source("runs") is ParameterSource.DEFAULT:
        return default_runs()
    return given.absolute() if default_runs().is_absolute() else given


Runs = Annotated[
    Path,
    typer.Option(
        "--runs",
        metavar="FOLDER",
        help="Where all runs lie; by default `runs` in the checkout.",
        callback=_placed,
        show_default=False,
    ),
]


def _number(value: float | None) -> float | None:
    """The value, where it is a number: no comparison with bounds finds `nan`."""
    if value is not None and isnan(value):
        raise UserError(Problem("--tflops", "nan", "a number"))
    return value


Tflops = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=1e6,
        callback=_number,
        help="What one GPU does a second, for the floor.",
    ),
]
Gpus = Annotated[int, typer.Option(min=1, max=100_000, envvar="GPUS", help="Training processes.")]
With = Annotated[
    str,
    typer.Option(
        "--with",
        metavar="RECIPE",
        help="The recipe to compare with: a name or a path.",
        autocompletion=recipe_names,
    ),
]


def say(text: str) -> None:
    """Print progress or an error: to stderr, as stdout holds the result."""
    tell(text, file=sys.stderr)


def find_run(name: str, overrides: list[str] | None, runs: Path) -> tuple[Path, Run, list[str]]:
    """The recipe's file, its run below `runs`, and the overrides with those the run remembers."""
    from stemma.recipe.load import called, find
    from stemma.remembered import recalled
    from stemma.runs import Run

    path = find(name)
    run = Run(runs / path.stem, shlex.quote(called(path)))
    given = overrides or []
    return path, run, [*recalled(run, path, given), *given]


def open_recipe(name: str, overrides: list[str] | None, runs: Path) -> tuple[Recipe, Run]:
    """The checked recipe and its run below `runs`; prints the recipe's warnings."""
    from stemma.recipe.check import warnings
    from stemma.recipe.load import load
    from stemma.remembered import tell_other_data

    path, run, settings = find_run(name, overrides, runs)
    recipe = load(path, settings)
    for warning in warnings(recipe):
        say(f"warning: {warning}")
    tell_other_data(recipe, run, say)
    return recipe, run
