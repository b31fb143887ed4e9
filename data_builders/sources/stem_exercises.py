"""Synthetic STEM exercises with checked answers (`data_builders/generated/exercises.py`), for every
set.

An exercise such as

    {"question": "What is 12 + 7?", "answer": "19", "wrong": ["18", "20", "29"],
     "subject": "arithmetic"}

becomes a corpus text (once as it is, and once per option order with lettered options), a
conversation (`meta.gold` is the answer), a multiple-choice question with shuffled options, or pairs
of the right answer and a wrong one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from inspect import getfile
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from data_builders.flow import DataSource, Draft, Kind, SourceContext, plain
from data_builders.generated.exercises import Exercise, exercises
from stemma.recipe.data import SourceOptions
from stemma.rows import LETTERS, McqRow, mcq_answer, mcq_prompt
from stemma.templates import answered

# The exercises are this source's data, so their file counts. It was `data_builders/exercises.py`
# once and keeps that name in the stage's key: what was built from it then is up to date still.
EXERCISE_FILES = {"data_builders/exercises.py": Path(getfile(Exercise))}


class Options(SourceOptions):
    source: Literal["stem_exercises"]
    orders: Annotated[int, Field(ge=1, le=1000)] = 1
    """In a corpus: in how many option orders each question is written as multiple choice."""
    pairs: Literal[1, 2, 3] = 1
    """In a preference set: against how many of its wrong answers each right one is put."""
    answer_as: Literal["letter", "text"] = "letter"
    """How a multiple-choice question is answered: with the letter, or with the choice's text."""

    def own_files(self, recipe_folder: Path) -> dict[str, Path]:
        return EXERCISE_FILES


def read(options: Options, context: SourceContext) -> Iterator[Draft]:
    for number, exercise in enumerate(exercises(context.seed), start=1):
        rng = random.Random(f"{context.seed}/{exercise.question}")
        for row in _make(exercise, context.kind, rng, options):
            yield Draft(f"exercise {number}", exercise.question, row)


SOURCE = DataSource(
    kinds=("corpus", "sft", "dpo", "mcq"),
    phase="read",
    licence="Apache-2.0",
    options=Options,
    read=read,
)


def _make(
    exercise: Exercise, kind: Kind, rng: random.Random, options: Options
) -> Iterator[dict[str, Any]]:
    question = exercise.question
    answer = exercise.answer
    meta = {"subject": exercise.subject}
    if kind == "sft":
        messages = [message.model_dump() for message in answered(question, answer)]
        yield {"messages": messages, "meta": {"gold": answer, **meta}}
    elif kind == "dpo":
        for rejected in rng.sample(exercise.wrong, options.pairs):
            yield {"prompt": question, "chosen": answer, "rejected": rejected, "meta": meta}
    elif kind == "mcq":
        yield _mcq(exercise, rng, options.answer_as)
    else:
        yield {"text": plain(question, answer)}
        for _ in range(options.orders):
            row = McqRow(
                id="corpus", source="stem_exercises", **_mcq(exercise, rng, options.answer_as)
            )
            yield {"text": plain(mcq_prompt(row), mcq_answer(row, row.answer))}


def _mcq(exercise: Exercise, rng: random.Random, answer_as: str) -> dict[str, Any]:
    choices = [exercise.answer, *exercise.wrong]
    rng.shuffle(choices)
    answer = LETTERS[choices.index(exercise.answer)]
    row = {"question": exercise.question, "choices": choices, "answer": answer}
    return {**row, "answer_as": answer_as, "subject": exercise.subject}
