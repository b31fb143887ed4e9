"""The command line: one function a verb.

The result goes to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 the user can
fix it, 130 interrupted. Heavy imports stay inside the verbs: `--help` must answer at once and
`check` must never import torch.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click
import typer

from stemma import ROOT
from stemma.cli_chat import chat
from stemma.cli_completion import completion
from stemma.cli_course import course
from stemma.cli_help import options
from stemma.cli_judge import judge
from stemma.cli_look import diff, show, status, verify
from stemma.cli_models import import_, real
from stemma.cli_new import new
from stemma.cli_options import (
    RUNS,
    DryRun,
    Force,
    Name,
    Names,
    Runs,
    Set,
    With,
    default_runs,
    find_run,
    open_recipe,
    say,
)
from stemma.cli_plan import plan
from stemma.cli_search import search
from stemma.cli_stages import add_stage_verbs
from stemma.errors import Problem, StageFailed, UserError
from stemma.lacking import lacking
from stemma.processes import TELEMETRY_OFF, thread_waiting
from stemma.streams import lost, secure
from stemma.visible import tell

app = typer.Typer(
    name="stemma",
    callback=options,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,  # the verb `completion` knows `python -m stemma` as well
    suggest_commands=False,  # click does
    pretty_exceptions_enable=False,
)

INTERRUPTED = 130
FREE = "free some space, or pass --runs FOLDER"
REFUSALS = {
    errno.EACCES: "give yourself the right to",
    errno.EPERM: "give yourself the right to",
    errno.EIO: "look at the disk: the system's log says more",
    errno.EROFS: "pass --runs FOLDER, of one that may be written",
    errno.ENAMETOOLONG: "give a shorter path",
    errno.ENOSPC: FREE,
    errno.EDQUOT: FREE,
}
"""What the file system may refuse to a verb that is no stage, and what helps."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Our own bugs keep their traceback."""
    # The console script starts in its own folder; the stages lie in the checkout.
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    os.environ.update(thread_waiting(os.environ) | TELEMETRY_OFF)  # before an engine is loaded
    secure()
    return _run(arguments) or lost(say)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        _refuse_gone_folder()
        code = app(arguments, prog_name="stemma", standalone_mode=False)
    except UserError as error:
        _say_discreetly(str(error))
        return 2
    except StageFailed as error:
        _say_discreetly(f"failed: {error}")
        return 1
    except (ModuleNotFoundError, RuntimeError) as error:
        if (problem := lacking(error)) is None:
            raise
        say(str(problem))
        return 2
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        where = str(error.filename or error.strerror)
        found = f"cannot be read or written: {error.strerror}"
        say(str(Problem(where, found, hint=REFUSALS[error.errno])))
        return 2
    except click.ClickException as error:
        error.show()
        return error.exit_code
    if code == INTERRUPTED:  # Typer has caught the KeyboardInterrupt
        say("interrupted; the same command goes on with what is kept")
    return code if isinstance(code, int) else 0


def _refuse_gone_folder() -> None:
    try:
        Path.cwd()
    except FileNotFoundError:
        found = "the folder this is called from is gone"
        raise UserError(Problem(".", found, hint="go to one that is there: `cd`")) from None


def _say_discreetly(text: str) -> None:
    # It brings the recipe's models, for which `--help` need not wait.
    from stemma.recipe.secrets import without_secrets

    say(without_secrets(text))


@app.command()
def check(recipes: Names = None, set_: Set = None) -> None:
    """Check recipes (all of recipes/ by default); every problem at once, with file and line."""
    from stemma.base_model.folder import check_base_model
    from stemma.recipe.check import unpinned
    from stemma.recipe.load import names

    problems = []
    chosen = recipes or names()
    if not chosen:  # nothing checked is not all well
        raise UserError(Problem("recipes", "no recipes", "*.yml files"))
    for name in chosen:
        try:
            recipe, run = open_recipe(name, set_, default_runs())
            for warning in unpinned(recipe):
                say(f"warning: {warning}")
            check_base_model(recipe, run, recipe.training_stages())
            tell(f"{recipe.name}: ok")
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))  # a problem of a recipe that others extend once


app.command()(show)
app.command()(diff)


@app.command()
def compare(recipe: Name, with_: With, runs: Runs = RUNS) -> None:
    """Draw the preference training of two recipes side by side; prints the page's path."""
    from report.compare import compare as drawn
    from report.compare import rows_apart

    one, other = open_recipe(recipe, None, runs), open_recipe(with_, None, runs)
    page = drawn(one, other)
    if unlike := rows_apart(one[1], other[1]):
        say(f"warning: {unlike}; hint: let one recipe extend the other and leave `data` as it is")
    tell(page)


app.command()(status)
add_stage_verbs(app)


@app.command("all")
def all_(
    recipe: Name, set_: Set = None, force: Force = False, dry_run: DryRun = False, runs: Runs = RUNS
) -> None:
    """Run the whole chain; what is up to date is kept."""
    from stemma.run_stages import Options, run_chain

    run_chain(*open_recipe(recipe, set_, runs), Options(say, force, dry_run))


app.command("import")(import_)
app.command()(new)
app.command()(real)
app.command()(course)
app.command()(judge)
app.command()(search)
app.command()(plan)


@app.command()
def rehearse(
    recipe: Name,
    layers: Annotated[
        int | None, typer.Option(min=1, help="So many of its layers.", show_default="all")
    ] = None,
    set_: Set = None,
    runs: Runs = RUNS,
) -> None:
    """Run the whole chain, small, on random weights of the model's true shapes; prints the cost."""
    from stemma.rehearsal.fitting import Request
    from stemma.rehearsal.run import rehearse as rehearsed

    _, _, settings = find_run(recipe, set_, runs)
    tell(rehearsed(Request(recipe, settings, runs, layers), say), end="")


@app.command()
def sweep(recipe: Name, set_: Set = None, force: Force = False, runs: Runs = RUNS) -> None:
    """Train every combination of the recipe's `sweep` values; a killed sweep resumes."""
    from stemma.quiet import quieten
    from stemma.training.cluster import read_cluster
    from stemma.training.sweep import search
    from stemma.training.sweep_results import written

    quieten()
    if read_cluster(os.environ, gpus=0).nodes > 1:
        found = "a sweep over several machines"
        raise UserError(Problem("NNODES", found, "one machine", "unset NNODES"))
    opened, run = open_recipe(recipe, set_, runs)
    tell(written(search(opened, run, lambda text: say(f"[sweep] {text}"), force)))


@app.command()
def demo(recipe: Name = "tiny", set_: Set = None, runs: Runs = RUNS) -> None:
    """Run the whole chain, then ask the shipped model test questions and the README's example."""
    from serve import exam
    from stemma.run_stages import Options, run_chain

    opened, run = open_recipe(recipe, set_, runs)
    as_shipped = opened.name == exam.EXAMPLE.recipe and not set_
    examples = exam.EXAMPLES if as_shipped else ()
    run_chain(opened, run, Options(say), lambda: exam.main(opened, run, examples))


app.command()(chat)


@app.command()
def preview(
    recipe: Name,
    source: Annotated[
        str | None, typer.Option(help="Only this source, e.g. `gsm8k`.", show_default=False)
    ] = None,
    rows: Annotated[int, typer.Option("-n", min=1, help="Rows of each source.")] = 3,
    set_: Set = None,
    runs: Runs = RUNS,
) -> None:
    """Show rows, kept and dropped, as a person reads them and as tokens."""
    from data_builders import preview as rows_of

    for line in rows_of.preview(*open_recipe(recipe, set_, runs), source, rows):
        tell(line)


app.command()(verify)


@app.command()
def doctor(runs: Runs = RUNS) -> None:
    """Check this machine: engines, accelerator, converter, compiler, disk, key."""
    from stemma.doctor import examine

    failing = 0
    for finding in examine(runs):
        hint = f"  hint: {finding.hint}" if finding.hint else ""
        tell(f"{finding.mark:<4} {finding.what:<20} {finding.found}{hint}")
        failing += finding.mark == "FAIL"
    if failing:
        raise StageFailed(f"{failing} of the checks above must be put right first")


app.command()(completion)
