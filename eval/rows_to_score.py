"""The test rows of the recipe's tasks: read, counted, and known by their content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.task import Task
from eval.tasks import TASKS
from stemma.digests import digest_json
from stemma.errors import Problem, UserError

if TYPE_CHECKING:
    from stemma.stages import Work

DIGITS = 32
"""Hexadecimal digits of a row's digest."""


@dataclass(frozen=True)
class RowsToScore:
    """The rows one task is measured on."""

    rows: list[Any]
    skipped: int
    digests: dict[str, str]
    """By a row's id, in the order of the rows: the digest of its content. A task that needs no
    rows has one sample, under the task's own name."""


def read_task(task: Task[Any, Any], name: str, path: Path | None, limit: int | None) -> RowsToScore:
    """The rows of a task in a file, at most so many. Raises UserError."""
    if task.rows is None or path is None:
        return RowsToScore([], 0, {name: name})
    rows, skipped = task.rows.read(path, limit)
    digests = {row.id: digest_json(row.model_dump(mode="json"))[:DIGITS] for row in rows}
    if problems := list(_problems(name, path, rows, skipped)):
        raise UserError(problems)
    return RowsToScore(rows, skipped, digests)


def _problems(name: str, path: Path, rows: list[Any], skipped: int) -> Iterator[Problem]:
    """Nothing is scored on nothing, and a sample must be one row's."""
    if not rows:
        found = f"task `{name}` has no row to score ({skipped} skipped)"
        hint = f"give its data set a larger `parts.{path.stem}`"
        yield Problem(str(path), found, "at least one test row", hint)
    again = [row for row, times in Counter(row.id for row in rows).items() if times > 1]
    if again:
        shown = ", ".join(again[:5])
        found = f"{len(again)} ids stand at several rows: {shown}"
        yield Problem(str(path), found, "an id for each row", "build the data set again")


def rows_of_tasks(work: Work) -> dict[str, RowsToScore]:
    """The rows of every task of the recipe. Raises UserError with the problems of all."""
    files = test_files(work)
    found: dict[str, RowsToScore] = {}
    problems: list[Problem] = []
    for options in work.recipe.eval.tasks:
        name = options.task
        try:
            found[name] = read_task(TASKS[name], name, files.get(name), options.limit)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(problems)
    return found


def test_files(work: Work) -> dict[str, Path]:
    """The file of test rows of each task that reads one."""
    names = [options.task for options in work.recipe.eval.tasks]
    return {
        name: work.input("data", f"{source.data_set}/test")
        for name in names
        if (source := TASKS[name].rows)
    }


def counted(rows: dict[str, RowsToScore]) -> dict[str, Any]:
    """Test rows that each task scores and skips, for the manifest."""
    return {
        name: {"scored": len(found.rows), "skipped": found.skipped}
        for name, found in rows.items()
        if TASKS[name].rows
    }
