"""Synthetic STEM exercises with checked answers (`data_builders/exercises.py`), for every set.

An exercise such as

    {"question": "What is 12 + 7?", "answer": "19", "wrong": ["18", "20", "29"], "subject": "arithmetic"}

becomes a corpus text (once as it is, and once per option order with lettered options), a conversation (`meta.gold` is
the answer), a multiple-choice question with shuffled options, or pairs of the right answer and a wrong one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import PositiveInt

from data_builders.drafts import Context, Draft, Kind
from data_builders.exercises import Exercise, exercises
from data_builders.layout import plain
from stemma.recipe import SourceOptions
from stemma.rows import LETTERS, McqRow, mcq_answer, mcq_prompt
from stemma.templates import answered

FOLDER = Path(__file__).resolve().parent.parent
KINDS = ("corpus", "sft", "dpo", "mcq")
PHASE = "read"


class Options(SourceOptions):
    source: Literal["stem_exercises"]
    orders: PositiveInt = 1
    """In a corpus: in how many option orders each question is written as multiple choice."""
    pairs: Literal[1, 2, 3] = 1
    """In a preference set: against how many of its wrong answers each right one is put."""
    answer_as: Literal["letter", "text"] = "letter"
    """How a multiple-choice question is answered: with the letter, or with the choice's text."""

    def files(self) -> list[str]:
        return [str(FOLDER / "exercises.py")]  # the exercises are this source's data


def read(options: Options, context: Context) -> Iterator[Draft]:
    for number, exercise in enumerate(exercises(context.seed), start=1):
        rng = random.Random(f"{context.seed}/{exercise.question}")
        for row in _make(exercise, context.kind, rng, options):
            yield Draft(f"exercise {number}", exercise.question, row)


def _make(exercise: Exercise, kind: Kind, rng: random.Random, options: Options) -> Iterator[dict[str, object]]:
    if kind == "sft":
        yield _sft(exercise)
    elif kind == "dpo":
        yield from _dpo(exercise, rng.sample(exercise.wrong, options.pairs))
    elif kind == "mcq":
        yield _mcq(exercise, rng, options.answer_as)
    else:
        yield {"text": plain(exercise.question, exercise.answer)}
        for _ in range(options.orders):
            question = _mcq(exercise, rng, options.answer_as)
            row = McqRow.model_validate({"id": "corpus", "source": "stem_exercises", **question})
            yield {"text": plain(mcq_prompt(row), mcq_answer(row, row.answer))}


def _sft(exercise: Exercise) -> dict[str, object]:
    messages = [message.model_dump() for message in answered(exercise.question, exercise.answer)]
    return {"messages": messages, "meta": {"gold": exercise.answer, "subject": exercise.subject}}


def _dpo(exercise: Exercise, wrong: list[str]) -> Iterator[dict[str, object]]:
    for rejected in wrong:
        yield {
            "prompt": exercise.question,
            "chosen": exercise.answer,
            "rejected": rejected,
            "meta": {"subject": exercise.subject},
        }


def _mcq(exercise: Exercise, rng: random.Random, answer_as: str) -> dict[str, object]:
    choices = [exercise.answer, *exercise.wrong]
    rng.shuffle(choices)
    return {
        "question": exercise.question,
        "choices": choices,
        "answer": LETTERS[choices.index(exercise.answer)],
        "answer_as": answer_as,
        "subject": exercise.subject,
    }
