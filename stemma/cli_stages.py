"""Verbs of the stages: one each, all alike but for `eval`. `stemma.cli` adds them."""

from __future__ import annotations

from collections.abc import Callable

import typer

from stemma.cli_options import RUNS, DryRun, Force, Name, Only, Runs, Set, open_recipe, say

STAGE_HELP = {
    "data": "Build the data sets from their sources.",
    "base": "Make the base model on the spot (only recipes with a `base` section).",
    "sft": "Train on conversations; hands over an adapter and the merged model.",
    "dpo": "Train on preference pairs, against the model it starts from.",
    "mcq": "Train on multiple-choice questions.",
    "export": "Merge, quantise (bitsandbytes, GGUF) and prove that each format is still the model.",
    "rag": "Build the database of passages (only recipes with a `rag` section).",
    "eval": "Score every variant.",
    "report": "Write the report page.",
}


def add_stage_verbs(app: typer.Typer) -> None:
    """Add the verb of every stage, in the chain's order."""
    for stage, text in STAGE_HELP.items():
        verb = eval_ if stage == "eval" else _verb_of(stage)
        app.command(stage, help=text, rich_help_panel="Stages, in order")(verb)


def _verb_of(stage: str) -> Callable[..., None]:
    def verb(
        recipe: Name,
        set_: Set = None,
        force: Force = False,
        dry_run: DryRun = False,
        runs: Runs = RUNS,
    ) -> None:
        from stemma.run_stages import Options, run_stages

        run_stages(*open_recipe(recipe, set_, runs), [stage], Options(say, force, dry_run))

    return verb


def eval_(  # noqa: PLR0913  # each is an option of the command line
    recipe: Name,
    only: Only = None,
    set_: Set = None,
    force: Force = False,
    dry_run: DryRun = False,
    runs: Runs = RUNS,
) -> None:
    """Score every variant, or measure some cells alone."""
    from stemma.run_stages import Options, measure_cells, run_stages

    opened, run = open_recipe(recipe, set_, runs)
    options = Options(say, force, dry_run)
    if only:
        measure_cells(opened, run, only, options)
    else:
        run_stages(opened, run, ["eval"], options)
