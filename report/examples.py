"""Some answers of the shipped file for whoever looks at the page, or at its print: right ones, and
errors beside the right answer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from report.entries import Entry
from report.outcomes import RIGHT, UNJUDGED, UNMEASURED, WORDS
from report.run_data import RunData
from report.samples import TaskSamples

RIGHT_ONES, ERRORS = 2, 5
"""Examples of each task."""
TASKS = 6
"""Tasks with examples, at most: a recipe may name dozens of benchmarks."""
CHARACTERS = 400
"""Of each text; the questions and answers below hold more."""
Item = TypeVar("Item")


@dataclass(frozen=True)
class Example:
    """One question with the answer of the shipped file."""

    group: str
    parts: tuple[tuple[str, str], ...]
    gold: str
    said: str
    outcome: str


@dataclass(frozen=True)
class TaskExamples:
    """Examples of one task, drawn evenly from its questions on the page."""

    task: str
    errors: int
    """Questions on the page that the shipped file has not right."""
    rows: int
    """Questions on the page that it answered."""
    shown: list[Example]


def examples(evidence: RunData) -> list[TaskExamples]:
    """Examples of each task that knows right from wrong."""
    ship = evidence.recipe.export.ship
    tasks = evidence.samples.tasks if evidence.samples else []
    found = [_of_task(task, ship) for task in tasks if not task.task.startswith("judge-")]
    return [one for one in found if one.shown][:TASKS]


def _of_task(task: TaskSamples, ship: str) -> TaskExamples:
    answered = [found for entry in task.entries if (found := _example(entry, ship))]
    right = [one for one in answered if one.outcome == WORDS[RIGHT]]
    errors = [one for one in answered if one.outcome != WORDS[RIGHT]]
    shown = [*evenly(right, RIGHT_ONES), *evenly(errors, ERRORS)]
    return TaskExamples(task.task, len(errors), len(answered), shown)


def _example(entry: Entry, ship: str) -> Example | None:
    """The entry as the shipped file answered it; None where nobody knows whether that is right."""
    for answer in entry.answers:
        if ship in answer.variants and answer.outcome not in (WORDS[UNMEASURED], WORDS[UNJUDGED]):
            parts = tuple((head, shortened(_on_a_line(head, text))) for head, text in entry.parts)
            gold, said = shortened(entry.gold), shortened(answer.text)
            return Example(entry.group, parts, gold, said, answer.outcome)
    return None


def _on_a_line(head: str, text: str) -> str:
    """The choices beside each other, all else as it is."""
    return text.replace("\n", " · ") if head == "Choices" else text


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """As many items as asked for, if there are so many, at even distances."""
    kept = min(count, len(items))
    return [items[place * len(items) // kept] for place in range(kept)]


def shortened(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]} …"
