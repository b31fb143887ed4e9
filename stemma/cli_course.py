"""The verb `course`: a model graded on a university course's own files. `stemma.cli` adds it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stemma.cli_options import RUNS, Name, Runs, Set, open_recipe, say
from stemma.visible import tell

Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE...", help="An MCQ file, a preference file, or both."),
]
To = Annotated[
    Path | None,
    typer.Option(
        "--to",
        metavar="FOLDER",
        help="Where the grades are written.",
        show_default="course, in the recipe's run",
    ),
]


def course(recipe: Name, files: Files, to: To = None, set_: Set = None, runs: Runs = RUNS) -> None:
    """Grade `merged` and the shipped variant on a course's files, as its evaluator would."""
    from eval.course.run import grade, table
    from stemma.base_model.folder import check_base_model
    from stemma.progress import of_stage
    from stemma.quiet import quieten
    from stemma.run_stages import warn_of_stale_upstream
    from stemma.stages import Work

    quieten()
    opened, run = open_recipe(recipe, set_, runs)
    check_base_model(opened, run, ["eval"])
    warn_of_stale_upstream(opened, run, "eval", say)
    folder = to or run.root / "course"
    with of_stage("course"):
        scores = grade(Work(opened, run, "eval", say), files, folder)
    tell("\n".join(table(scores)))
    tell(folder / "scores.json")
