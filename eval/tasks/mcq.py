"""Multiple choice by log-likelihood: the letter the model finds likeliest behind the question.

A row: `{"id": "…", "question": "Which unit measures force?", "choices": ["newton", "joule"],
"answer": "A", …}`. What the assistant would say to pick a choice is scored, as the template writes
it, summed over its tokens: the letter alone, also where an explanation would follow (the right
choice's explanation behind every letter would give the answer away), or, for rows answered by the
choice's text, the text with the stop token (else 10 would beat 100).

A question counts once, however many rows ask it: the row that is answered with the letter alone,
where there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from eval.backends.interface import Backend, request_of
from eval.statistics import wilson
from eval.task import (
    MeasuredRow,
    Metric,
    RowSource,
    ScoreContext,
    Setting,
    Task,
    TaskScores,
    ids_digest,
)
from stemma.jsonl import read_rows
from stemma.rows import LETTERS, McqRow
from stemma.templates import rendered_choices


class McqSample(MeasuredRow):
    """One question: the summed log-probability of each choice, by letter."""

    subject: str
    answer: str
    log_probs: dict[str, float]

    @property
    def picked(self) -> str:
        """The likeliest letter; of several the first."""
        return max(self.log_probs, key=lambda letter: self.log_probs[letter])

    @property
    def tied(self) -> bool:
        """Whether several letters share the highest score."""
        scores = list(self.log_probs.values())
        return scores.count(max(scores)) > 1


def read(path: Path, limit: int | None) -> tuple[list[McqRow], int]:
    """One row for each question, and how many rows were skipped because they ask a question
    again."""
    chosen: dict[tuple[str, ...], McqRow] = {}
    rows = read_rows(path, McqRow)
    for row in rows:
        question = (row.question, *sorted(row.choices))
        known = chosen.get(question)
        if known is None or (known.answer_as == "explained" and row.answer_as == "letter"):
            chosen[question] = row
    kept = list(chosen.values())[:limit]
    return kept, len(rows) - len(chosen)


def measure(backend: Backend, setting: Setting[McqRow]) -> Iterator[McqSample]:
    """The log-probability of every choice of every question."""
    requests = [
        request_of(backend, rendered_choices(row, setting.template)) for row in setting.rows
    ]
    for place, answers in backend.scored(requests):
        row, request = setting.rows[place], requests[place]
        yield McqSample(
            id=row.id,
            subject=row.subject,
            answer=row.answer,
            ids_digest=ids_digest(request.prompt, *request.answers),
            log_probs=dict(zip(LETTERS, map(sum, answers), strict=False)),
        )


def score(rows: list[McqSample], _context: ScoreContext[McqSample]) -> TaskScores:
    """Accuracy beside what guessing would give. A tie goes to the first letter and is counted."""
    right = {row.id: row.picked == row.answer for row in rows}
    n = len(rows)
    accuracy = sum(right.values()) / n
    metrics = [
        Metric("accuracy", accuracy, n, *wilson(accuracy, n)),
        Metric("chance", sum(1 / len(row.log_probs) for row in rows) / n, n),
        Metric("ties", sum(row.tied for row in rows) / n, n),
    ]
    shown = [
        row.model_dump() | {"picked": row.picked, "tied": row.tied, "right": right[row.id]}
        for row in rows
    ]
    facts = {
        "letters picked": _counted(row.picked for row in rows),
        "letters right": _counted(row.answer for row in rows),
    }
    return TaskScores(metrics, shown, {"accuracy": right}, facts)


def _counted(letters: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(letters).items()))


TASK = Task(RowSource("mcq", read), McqSample, measure, score)
