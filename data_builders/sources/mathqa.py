"""MathQA: word problems with five options and a rationale, from its JSON or a harness's JSON Lines.

    {"Problem": "what is 10 % of 50 ?", "Rationale": "\\"50 * 10 / 100 = 5 answer : b\\"",
     "options": "a ) 4 , b ) 5 , c ) 50 , d ) 1,000 , e ) none", "correct": "b",
     "annotated_formula": "…", "linear_formula": "…", "category": "gain"}

Other copies name the columns `problem`, `rationale` and `type`. In some rows `options` is a Python
list of its five parts. The rationale loses its outer quotes and the letter it closes with: choices
may be shuffled.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Literal

from pydantic import AliasChoices, Field

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.questions import ChoiceOptions, Question, make_rows, without_letter
from data_builders.reading.files import FileOptions, FileRow, RowForm, read_lines
from stemma.reading.labels import bare_label
from stemma.rows import LETTERS

_OPTION = re.compile(r"(?:^|,)\s*([a-j])\s*\)\s*")


class Options(ChoiceOptions):
    source: Literal["mathqa"]


class MathqaProblem(RowForm):
    problem: str = Field(validation_alias=AliasChoices("problem", "Problem"))
    rationale: str = Field(validation_alias=AliasChoices("rationale", "Rationale"))
    options: str
    correct: str
    annotated_formula: str = ""
    linear_formula: str = ""
    category: str = Field(validation_alias=AliasChoices("category", "type"))


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    for entry, question in read_problems(options, context):
        if isinstance(question, str):
            yield entry.drop(question)
        else:
            yield from make_rows(entry, question, options, context)


SOURCE = DataSource(
    kinds=("mcq", "sft"), phase="read", licence="Apache-2.0", options=Options, read=read
)


def read_problems(
    options: FileOptions, context: SourceContext
) -> Iterator[tuple[FileRow[MathqaProblem], Question | str]]:
    """Every problem of the files as a question, or why it is none."""
    for entry in read_lines(options, context, MathqaProblem):
        yield entry, _parse(entry.line)


def _parse(problem: MathqaProblem) -> Question | str:
    choices = parse_options(problem.options)
    if choices is None:
        return "options not in the layout `a ) … , b ) …`"
    letter = bare_label(problem.correct)
    if letter not in LETTERS[: len(choices)]:
        return "the answer is none of the options"
    rationale = re.sub(r'^"(.*)"$', r"\1", problem.rationale.strip(), flags=re.DOTALL).strip()
    right = choices[LETTERS.index(letter)]
    return Question(
        problem.problem, choices, letter, without_letter(rationale, letter, right), problem.category
    )


def parse_options(text: str) -> list[str] | None:
    """The choices in `a ) 12 , b ) 1,600 , …`, or in a Python list of such parts; None: neither."""
    if text.lstrip().startswith("["):
        try:
            text = " , ".join(ast.literal_eval(text.strip()))
        except (ValueError, SyntaxError, TypeError):
            return None
    before, *parts = _OPTION.split(text.strip())
    letters = parts[::2]
    choices = parts[1::2]
    if before or len(letters) < 2 or "".join(letters) != LETTERS[: len(letters)].lower():
        return None
    # Some say their letter twice: "a ) a ) 4 inches".
    return [
        re.sub(rf"^{a} \)", "", choice).strip() for a, choice in zip(letters, choices, strict=True)
    ]
