"""MMLU in its authors' CSV files, `<subject>_<dev|val|test>.csv` without a header line:

    "Find the degree of Q(sqrt(2)) over Q.",0,4,2,6,C

or as the hub has it (`cais/mmlu`, config `all`):

    {"question": "Find …", "subject": "abstract_algebra", "choices": ["0", "4", "2", "6"],
     "answer": 2}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.reading.files import FileOptions, FileRow, RowForm, read_lines
from stemma.errors import Problem, UserError
from stemma.reading.labels import bare_label
from stemma.reading.tables import CsvForm
from stemma.rows import LETTERS

# The authors' grouping (categories.py of hendrycks/test).
STEM = frozenset(
    {
        "abstract_algebra",
        "astronomy",
        "college_biology",
        "college_chemistry",
        "college_computer_science",
        "college_mathematics",
        "college_physics",
        "computer_security",
        "conceptual_physics",
        "electrical_engineering",
        "elementary_mathematics",
        "high_school_biology",
        "high_school_chemistry",
        "high_school_computer_science",
        "high_school_mathematics",
        "high_school_physics",
        "high_school_statistics",
        "machine_learning",
    }
)
Subjects = Literal["stem", "all"] | list[str]


class Questions(FileOptions):
    """The options that every source that reads MMLU accepts."""

    subjects: Subjects = "stem"
    """The 18 subjects that its authors call STEM, all 57, or these."""


class Options(Questions):
    source: Literal["mmlu"]


class _Lettered(RowForm):
    question: str
    A: str
    B: str
    C: str
    D: str
    answer: str

    def parts(self, file: str) -> tuple[str, list[str], int]:
        """(subject, choices, where the answer is among them: -1 nowhere)."""
        return (
            subject_of(file),
            [self.A, self.B, self.C, self.D],
            "ABCD".find(bare_label(self.answer) or "?"),
        )


class _Indexed(RowForm):
    question: str
    subject: str
    choices: list[str]
    answer: int

    def parts(self, _file: str) -> tuple[str, list[str], int]:
        return self.subject, self.choices, self.answer


def read(options: Questions, context: SourceContext) -> Iterator[Draft | Drop]:
    form = CsvForm(("question", "A", "B", "C", "D", "answer"))
    entries: Iterator[FileRow[_Lettered | _Indexed]] = read_lines(
        options, context, _Lettered, _Indexed, csv=form
    )
    for entry in entries:
        subject, choices, answer = entry.line.parts(entry.file)
        if not is_wanted(subject, options.subjects):
            yield entry.drop("subject not asked for")
        elif not 0 <= answer < len(choices):
            yield entry.drop("the answer is none of the options")
        else:
            stem = entry.line.question
            row = {
                "question": stem,
                "choices": choices,
                "answer": LETTERS[answer],
                "subject": subject,
            }
            yield entry.draft(stem, row)


SOURCE = DataSource(kinds=("mcq",), phase="read", licence="MIT", options=Options, read=read)


def is_wanted(subject: str, subjects: Subjects) -> bool:
    return subjects == "all" or subject in (STEM if subjects == "stem" else subjects)


def subject_of(file: str) -> str:
    """`high_school_physics` of `mmlu/test/high_school_physics_test.csv`. Raises UserError where the
    name has none."""
    named = re.fullmatch(r"(.+)_(?:dev|val|test)", Path(file).stem)
    if not named:
        raise UserError(
            Problem(file, "the file's name gives no subject", "a name such as `astronomy_test.csv`")
        )
    return named[1]
