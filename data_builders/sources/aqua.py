"""AQuA-RAT: algebra word problems with five options and a rationale, JSON Lines in spite of the
name `.json`:

    {"question": "What is 10% of 50?", "options": ["A)4", "B)5", "C)50", "D)1", "E)10"],
     "rationale": "50 * 10 / 100 = 5\\nAnswer: B", "correct": "B"}

The rationale loses the letter it closes with: choices may be shuffled. MathQA asks many of the same
questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.questions import ChoiceOptions, Question, make_rows, without_letter
from data_builders.reading.files import RowForm, read_lines
from stemma.reading.labels import bare_label
from stemma.rows import LETTERS


class Options(ChoiceOptions):
    source: Literal["aqua"]


class _Problem(RowForm):
    question: str
    options: list[str]
    rationale: str
    correct: str


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry in read_lines(options, context, _Problem):
        question = _parse(entry.line)
        if isinstance(question, str):
            yield entry.drop(question)
        else:
            yield from make_rows(entry, question, options, context)


SOURCE = DataSource(
    kinds=("mcq", "sft"), phase="read", licence="Apache-2.0", options=Options, read=read
)


def _parse(problem: _Problem) -> Question | str:
    letters = LETTERS[: len(problem.options)]
    if [option[:2] for option in problem.options] != [f"{letter})" for letter in letters]:
        return "options not in the layout `A)…`, `B)…`"
    letter = bare_label(problem.correct)
    if letter not in letters:
        return "the answer is none of the options"
    choices = [option[2:].strip() for option in problem.options]
    rationale = without_letter(problem.rationale.strip(), letter, choices[letters.index(letter)])
    return Question(problem.question, choices, letter, rationale)
