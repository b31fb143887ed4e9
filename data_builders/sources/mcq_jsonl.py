"""Multiple-choice questions in the course's format, one JSON object a line:

    {"subject": "abstract_algebra", "answer": "B",
     "question": "Question: Find all c in …\\n\\nOptions:\\nA. 0\\nB. 1\\n…\\n\\nAnswer:"}

`subject` may be null. Some ARC questions number their options `1.` to `4.` and give the answer as a digit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from data_builders.drafts import Context, Draft, Drop, FileOptions
from data_builders.layout import parse_mcq
from stemma.jsonl import read_rows
from stemma.rows import LETTERS

KINDS = ("mcq",)
PHASE = "read"


class Options(FileOptions):
    source: Literal["mcq_jsonl"]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    subject: str | None
    question: str
    answer: str


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    for number, question in enumerate(read_rows(context.root / options.path, _Question), start=1):
        yield _draft(question, f"{options.path} row {number}", options.path)


def _draft(question: _Question, where: str, path: str) -> Draft | Drop:
    parsed = parse_mcq(question.question)
    if parsed is None:
        return Drop(where, "not in the layout `Question: … Options: A. … Answer:`", question.model_dump())
    stem, choices = parsed
    label = question.answer.strip().rstrip(".)").upper()
    if label not in choices:
        return Drop(where, "the answer is none of the options", question.model_dump())
    row: dict[str, object] = {
        "question": stem,
        "choices": list(choices.values()),
        "answer": LETTERS[list(choices).index(label)],
        "subject": question.subject or "",
        "meta": {"file": path},
    }
    return Draft(where, stem, row)
