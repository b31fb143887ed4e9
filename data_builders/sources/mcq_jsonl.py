"""Multiple-choice questions in the course's format, one JSON object a line:

    {"subject": "abstract_algebra", "answer": "B",
     "question": "Question: Find all c in …\\n\\nOptions:\\nA. 0\\nB. 1\\n…\\n\\nAnswer:"}

`subject` may be null. Some ARC questions number their options `1.` to `4.` and give the answer as a digit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from data_builders.drafts import Context, Draft, Drop, FileOptions, Line, read_lines
from data_builders.sources.mmlu import Subjects, is_wanted
from stemma.rows import LETTERS

KINDS = ("mcq",)
PHASE = "read"
LICENCE = ""

_LAYOUT = re.compile(
    r"\s*(?:Question:)?\s*(?P<stem>.*?)\s*\n\s*Options:\s*\n(?P<options>.*?)\s*(?:\n\s*Answer:)?\s*", re.DOTALL
)


class Options(FileOptions):
    source: Literal["mcq_jsonl"]
    subjects: Subjects = "all"
    """Only questions of these subjects, or of MMLU's STEM subjects."""


class _Question(Line):
    subject: str | None
    question: str
    answer: str


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Question):
        row = _make(entry.line, options)
        yield entry.drop(row) if isinstance(row, str) else entry.draft(row["question"], row)


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
        return "the answer is none of the options"
    answer = LETTERS[list(choices).index(label)]
    return {"question": stem, "choices": list(choices.values()), "answer": answer, "subject": subject}


def parse_mcq(text: str) -> tuple[str, dict[str, str]] | None:
    """(stem, {label: choice}) of a question in the course's layout, labelled A, B, … or 1, 2, …; None: another layout.

    A choice may span lines: only the label that comes next starts the next choice.
    """
    match = _LAYOUT.fullmatch(text)
    if match is None:
        return None
    for labels in (LETTERS, "123456789"):
        choices = _parse_choices(match["options"], labels)
        if len(choices) > 1:
            return match["stem"], choices
    return None


def _parse_choices(text: str, labels: str) -> dict[str, str]:
    choices: dict[str, str] = {}
    for line in text.split("\n"):
        label = labels[len(choices) : len(choices) + 1]
        if label and (found := re.match(rf"\s*{label}[.)]\s*", line)):
            choices[label] = line[found.end() :]
        elif choices:
            choices[labels[len(choices) - 1]] += "\n" + line
        else:
            return {}
    return {label: choice.strip() for label, choice in choices.items()}
