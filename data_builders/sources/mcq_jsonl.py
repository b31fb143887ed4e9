"""Multiple-choice questions in the course's format, one JSON object a line:

    {"subject": "abstract_algebra", "answer": "B",
     "question": "Question: Find all c in …\\n\\nOptions:\\nA. 0\\nB. 1\\n…\\n\\nAnswer:"}

`subject` may be null or absent. Some ARC questions number their options `1.` to `4.` and give the
answer as a digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.reading.choices import NONE_OF_THEM, TOO_MANY
from data_builders.reading.files import FileOptions, RowForm, read_lines
from data_builders.sources.mmlu import Subjects, is_wanted
from stemma.mcq_layout import parse_mcq
from stemma.reading.labels import bare_label
from stemma.rows import LETTERS


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
    label = bare_label(question.answer)
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
