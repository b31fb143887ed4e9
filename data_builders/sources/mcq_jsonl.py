"""Multiple-choice questions in the course's format, one JSON object a line:

    {"subject": "abstract_algebra", "answer": "B",
     "question": "Question: Find all c in …\\n\\nOptions:\\nA. 0\\nB. 1\\n…\\n\\nAnswer:"}

`subject` may be null or absent. Some ARC questions number their options `1.` to `4.` and give the
answer as a digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.reading.choices import NONE_OF_THEM, TOO_MANY
from data_builders.reading.files import FileOptions, RowForm, read_lines
from data_builders.sources.mmlu import Subjects, is_wanted
from stemma.rows import LETTERS

_LAYOUT = re.compile(
    r"\s*(?:Question:)?\s*(?P<stem>.*?)\s*\n\s*Options:\s*\n(?P<options>.*?)\s*(?:\n\s*Answer:)?\s*",
    re.DOTALL,
)

# More than can be lettered, so that what is too long is told instead of glued into the last choice.
_LETTERED = (*LETTERS, *(f"A{letter}" for letter in LETTERS))
_NUMBERED = tuple(str(number) for number in range(1, 2 * len(LETTERS) + 1))


class Options(FileOptions):
    source: Literal["mcq_jsonl"]
    subjects: Subjects = "all"
    """Only questions of these subjects, or of MMLU's STEM subjects."""


class _Question(RowForm):
    subject: str | None = None
    question: str
    answer: str


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Question):
        row = _make(entry.line, options)
        yield entry.drop(row) if isinstance(row, str) else entry.draft(row["question"], row)


SOURCE = DataSource(kinds=("mcq",), phase="read", licence="", options=Options, read=read)


def _make(question: _Question, options: Options) -> dict[str, Any] | str:
    """The row, or why there is none."""
    subject = question.subject or ""
    if not is_wanted(subject, options.subjects):
        return "subject not asked for"
    parsed = parse_mcq(question.question)
    if parsed is None:
        return "not in the layout `Question: … Options: A. … Answer:`"
    stem, choices = parsed
    label = question.answer.strip().rstrip(".)").upper()
    if label not in choices:
        return NONE_OF_THEM
    if len(choices) > len(LETTERS):
        return TOO_MANY
    answer = LETTERS[list(choices).index(label)]
    return {
        "question": stem,
        "choices": list(choices.values()),
        "answer": answer,
        "subject": subject,
    }


def parse_mcq(text: str) -> tuple[str, dict[str, str]] | None:
    """(stem, {label: choice}) of a question in the course's layout, labelled A, B, … or 1, 2, …;
    None: another layout.

    A choice may span lines: only the label that comes next starts the next choice.
    """
    match = _LAYOUT.fullmatch(text)
    if match is None:
        return None
    for labels in (_LETTERED, _NUMBERED):
        choices = _parse_choices(match["options"], labels)
        if len(choices) > 1:
            return match["stem"], choices
    return None


def _parse_choices(text: str, labels: Sequence[str]) -> dict[str, str]:
    choices: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        label = labels[len(choices)] if len(choices) < len(labels) else ""
        if label and (found := re.match(rf"\s*{label}[.)]\s*", line)):
            choices[label], last = line[found.end() :], label
        elif choices:
            choices[last] += "\n" + line
        else:
            return {}
    return {label: choice.strip() for label, choice in choices.items()}
