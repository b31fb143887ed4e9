"""Verbs that look at recipes and runs, and run nothing. `stemma.cli` adds them."""

from __future__ import annotations

from typing import Annotated

import typer

from stemma.cli_options import RUNS, Name, Runs, Seal, Set, open_recipe, recipe_names
from stemma.errors import Problem, StageFailed, UserError
from stemma.visible import tell

Other = Annotated[
    str | None,
    typer.Argument(
        metavar="[NEW]", help="The recipe that is new to it.", autocompletion=recipe_names
    ),
]
OtherWith = Annotated[
    str | None,
    typer.Option("--with", metavar="NEW", help="The same as `NEW`.", autocompletion=recipe_names),
]


def show(recipe: Name, set_: Set = None, runs: Runs = RUNS) -> None:
    """Print the resolved recipe, then each Axolotl file it renders to."""
    from stemma.show import resolved

    tell(resolved(*open_recipe(recipe, set_, runs)), end="")


def diff(recipe: Name, new: Other = None, with_: OtherWith = None, set_: Set = None) -> None:
    """Print what is new in another recipe (+) against RECIPE (-), resolved and rendered.

    With another recipe, --set changes both. Without one, what it changes in RECIPE is shown.
    """
    from stemma.recipe.load import load
    from stemma.show import difference

    if new and with_:
        raise UserError(
            Problem("--with", f"`{with_}` beside `{new}`", "one recipe to compare with")
        )
    other = new or with_
    if not other and not set_:
        expected = f"another recipe or a setting: `stemma diff {recipe} OTHER`"
        hint = f"`make diff RECIPE={recipe} WITH=OTHER`"
        raise UserError(Problem("diff", f"nothing to compare `{recipe}` with", expected, hint))
    before = load(recipe, set_ or [] if other else [])
    after = load(other or recipe, set_ or [])
    tell(difference(before, after), end="")


def status(recipe: Name, set_: Set = None, runs: Runs = RUNS) -> None:
    """Say for each stage whether it is up to date, and if not, what changed."""
    from stemma.freshness import states

    for stage, state in states(*open_recipe(recipe, set_, runs)).items():
        tell(f"{stage:<7} {state}")


def verify(recipe: Name, seal: Seal = False, runs: Runs = RUNS) -> None:
    """Hash all outputs of a run again and compare with its manifests."""
    from stemma.show import damaged

    opened, run = open_recipe(recipe, None, runs)
    found = damaged(opened, run, tell, seal)
    if found:
        names = ", ".join(found)
        raise StageFailed(
            f"not as they were made: {names}; put them back, or run these stages again"
        )
