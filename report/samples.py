"""Samples of the evaluation, read for the page: outcomes of all rows, and some rows whole.

The files are read twice, line by line. The first time only the outcome of each row is kept; the
second time the rows that the page will show. So time grows with the files, and memory with the
page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from report.entries import Entry, Reply, entry_of, reply_of
from report.outcomes import Flips, TaskOutcomes, flips, outcome
from report.questions import Question, questions_of
from stemma.jsonl import stream_dicts
from stemma.recipe.models import Recipe
from stemma.runs import Run

PAGE_CHARACTERS = 6_000_000
"""Text of samples on the page, at most: all tasks together share it."""
CANDIDATES = 2_000
"""Rows of a task that are read whole, at most: more never fit."""
NO_QUESTIONS = {"speed", "text"}
"""Tasks whose samples are no answers, or figures of those of another."""


@dataclass(frozen=True)
class TaskSamples:
    """The rows of one task that the page shows, of those there are."""

    task: str
    rows: int
    entries: list[Entry]
    files: dict[str, str]
    """Where all rows lie, by variant, from the run's folder."""


@dataclass(frozen=True)
class SampleBook:
    """All that the page shows of single questions."""

    variants: list[str]
    tasks: list[TaskSamples]
    flips: list[Flips]

    @property
    def shown(self) -> int:
        return sum(len(task.entries) for task in self.tasks)

    @property
    def rows(self) -> int:
        return sum(task.rows for task in self.tasks)


def read_samples(recipe: Recipe, run: Run) -> SampleBook:
    """The samples of a run that is evaluated. Raises UserError for a damaged file."""
    files = sample_files(recipe, run)
    outcomes = {task: _outcomes(paths) for task, paths in files.items()}
    tasks = []
    for task, paths in files.items():
        chosen = choose(outcomes[task], recipe.exported())
        questions = questions_of(run, task, chosen)
        replies = _replies(task, paths, questions, chosen)
        entries = (entry_of(task, row, questions.get(row), replies[row]) for row in chosen)
        kept = within(entries, PAGE_CHARACTERS // len(files), outcomes[task].places)
        rows = len(outcomes[task].places)
        places = {variant: str(path.relative_to(run.root)) for variant, path in paths.items()}
        tasks.append(TaskSamples(task, rows, kept, places))
    return SampleBook(recipe.eval.variants, tasks, flips(outcomes))


def sample_files(recipe: Recipe, run: Run) -> dict[str, dict[str, Path]]:
    """Sample files by task and variant, in the recipe's order, as the manifest lists them."""
    outputs = run.manifest("eval").outputs
    found: dict[str, dict[str, Path]] = {}
    for variant in recipe.eval.variants:
        lead = f"samples/{variant}/"
        for name in outputs:
            task = name.removeprefix(lead)
            if name.startswith(lead) and task not in NO_QUESTIONS:
                found.setdefault(task, {})[variant] = run.output("eval", name)
    return found


def _outcomes(paths: dict[str, Path]) -> TaskOutcomes:
    found = TaskOutcomes()
    for variant, path in paths.items():
        for number, record in enumerate(stream_dicts(path)):
            found.add(variant, row_id(record, number), outcome(record))
    return found


def row_id(record: dict[str, Any], number: int) -> str:
    """A row's id; in lm-evaluation-harness's own shape its `doc_id`, else its line."""
    return str(record.get("id", record.get("doc_id", number)))


def choose(outcomes: TaskOutcomes, shippable: list[str]) -> list[str]:
    """Ids of rows to read whole, the most telling first.

    Those come first on which the variants that can ship differ: they show what a format took away.
    """
    compared = [name for name in outcomes.by_variant if name in shippable]
    compared = compared if len(compared) > 1 else list(outcomes.by_variant)
    telling = [row for row, place in outcomes.places.items() if outcomes.differ(compared, place)]
    first = telling[:CANDIDATES]
    known = set(first)
    others = (row for row in outcomes.places if row not in known)
    return [*first, *_first(others, CANDIDATES - len(first))]


def _first(rows: Iterable[str], count: int) -> list[str]:
    return [row for _, row in zip(range(count), rows, strict=False)]


def _replies(
    task: str, paths: dict[str, Path], questions: dict[str, Question], chosen: list[str]
) -> dict[str, dict[str, Reply]]:
    """The replies to the chosen rows, by id and variant: cut as they are read."""
    found: dict[str, dict[str, Reply]] = {row: {} for row in chosen}
    for variant, path in paths.items():
        for number, record in enumerate(stream_dicts(path)):
            row = row_id(record, number)
            if row in found:
                found[row][variant] = reply_of(task, record, questions.get(row))
    return found


def within(entries: Iterable[Entry], characters: int, places: dict[str, int]) -> list[Entry]:
    """As many entries as the page has room for, back in the order of the file."""
    kept: list[Entry] = []
    left = characters
    for entry in entries:
        left -= entry.characters
        if left < 0:
            break
        kept.append(entry)
    return sorted(kept, key=lambda entry: places[entry.id])
