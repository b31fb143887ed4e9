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

from report.benchmarks import is_benchmark, question_of
from report.entries import Entry, GivenAnswer, entry_of, reply_of
from report.outcomes import UNJUDGED, Flips, TaskOutcomes, flips, outcome
from report.questions import AskedQuestion, questions_of
from report.transcripts import is_judged, transcript
from stemma.jsonl import stream_dicts
from stemma.recipe.models import Recipe
from stemma.runs import Run

PAGE_CHARACTERS = 6_000_000
"""Text of samples on the page, at most: all tasks together share it."""
CANDIDATES = 2_000
"""Rows of a task that are read whole, at most: more never fit."""
NO_QUESTIONS = {"speed", "text", "divergence"}
"""Tasks whose samples are no answers, or figures of those of another."""


@dataclass(frozen=True)
class TaskSamples:
    """The rows of one task that the page shows, of those there are."""

    task: str
    rows: int
    entries: list[Entry]


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
    room = PAGE_CHARACTERS // max(1, len(files))
    judged = {task for task, paths in files.items() if is_judged(_first_record(paths))}
    outcomes = {task: _outcomes(paths) for task, paths in files.items() if task not in judged}
    tasks = []
    for task, paths in files.items():
        if task in judged:
            tasks += [_judging(task, variant, path, room) for variant, path in paths.items()]
        elif outcomes[task].places:
            tasks.append(_answers(run, task, paths, _Choice(outcomes[task], recipe, room)))
    return SampleBook(recipe.eval.variants, tasks, flips(outcomes))


@dataclass(frozen=True)
class _Choice:
    """What decides which rows of a task are shown."""

    outcomes: TaskOutcomes
    recipe: Recipe
    characters: int


def _answers(run: Run, task: str, paths: dict[str, Path], by: _Choice) -> TaskSamples:
    """The rows of a task that every variant answered."""
    chosen = choose(by.outcomes, by.recipe.exported())
    questions = questions_of(run, task, chosen)
    replies = _replies(task, paths, questions, chosen)
    entries = (entry_of(task, row, questions.get(row), replies[row]) for row in chosen)
    kept = within(entries, by.characters, by.outcomes.places)
    return TaskSamples(task, len(by.outcomes.places), kept)


def _judging(task: str, variant: str, path: Path, characters: int) -> TaskSamples:
    """The pairs of one judging, in the order of its file."""
    name = f"{task} · {variant}"
    records = list(stream_dicts(path))
    entries = [transcript(name, record) for record in records[:CANDIDATES]]
    places = {entry.id: place for place, entry in enumerate(entries)}
    return TaskSamples(name, len(records), within(entries, characters, places))


def _first_record(paths: dict[str, Path]) -> dict[str, Any]:
    records = (record for path in paths.values() for record in stream_dicts(path))
    return next(records, {})


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
        first: Any = None
        for number, record in enumerate(stream_dicts(path)):
            first = record.get("filter") if number == 0 else first
            # The harness writes a row for each of its filters: one of them counts.
            code = outcome(record) if record.get("filter") == first else UNJUDGED
            found.add(variant, row_id(record, number), code)
    return found


def row_id(record: dict[str, Any], number: int) -> str:
    """A row's id; in lm-evaluation-harness's own shape its `doc_id` and filter, else its line."""
    if "doc_id" not in record:
        return str(record.get("id", number))
    named = record.get("filter", "none")
    return str(record["doc_id"]) if named == "none" else f"{record['doc_id']} {named}"


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
    task: str, paths: dict[str, Path], questions: dict[str, AskedQuestion], chosen: list[str]
) -> dict[str, dict[str, GivenAnswer]]:
    """The replies to the chosen rows, by id and variant: cut as they are read.

    A benchmark's question stands in its samples, and joins the others.
    """
    found: dict[str, dict[str, GivenAnswer]] = {row: {} for row in chosen}
    for variant, path in paths.items():
        for number, record in enumerate(stream_dicts(path)):
            row = row_id(record, number)
            if row not in found:
                continue
            if row not in questions and is_benchmark(record):
                questions[row] = question_of(record)
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
