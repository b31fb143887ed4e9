"""Preference pairs written by the recipe's `generator`: two answers to an exercise in separate
chats, then a verdict.

Takes no file. For the question "What is 12 + 7?" the generator answers "20" and "19". The
exercise's own answer tells them apart; where both are right, the generator ranks them, once in each
order:

    {"prompt": "What is 12 + 7?", "chosen": "19", "rejected": "20",
     "meta": {"gold": "19", "subject": "arithmetic", "decided": "gold", "chosen_first": false}}

The questions are `stem_exercises`' that no evaluation split holds, from the end of the list (where
a limited `stem_exercises` set has taken none); `limit` is the number of questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from data_builders.flow import DataSource, Draft, Drop, SourceContext
from data_builders.generated.exercises import Exercise, exercises
from data_builders.generated.judging import Ties
from data_builders.generated.pairing import PairTask, pair_jobs
from data_builders.sources.stem_exercises import EXERCISE_FILES
from stemma.answers import states_gold
from stemma.generator.prompts import Prompts
from stemma.recipe.data import SourceOptions


class Options(SourceOptions):
    source: Literal["generated_pairs"]
    ties: Ties = "drop"
    """Where the judge's two orders disagree: drop the pair, or take the first order's word for
    it."""

    def own_files(self, recipe_folder: Path) -> dict[str, Path]:
        return Prompts(recipe_folder).files("answer", "rank") | EXERCISE_FILES


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    assert context.generate, "this source runs in the `generate` phase"
    free = (
        exercise
        for exercise in reversed(exercises(context.seed))
        if not context.held_out(exercise.question)
    )
    prompts = Prompts(context.recipe_folder)
    tasks = [_task(exercise, prompts) for exercise in islice(free, options.limit)]
    context.say(
        f"generated_pairs: {len(tasks)} questions, two answers each, ranked where both are right"
    )
    yield from context.generate(pair_jobs(tasks, context.seed, options.ties))


SOURCE = DataSource(
    kinds=("dpo",), phase="generate", licence="Apache-2.0", options=Options, read=read
)


def _task(exercise: Exercise, prompts: Prompts) -> PairTask:
    question = exercise.question
    return PairTask(
        where=question,
        question=question,
        prompt=question,
        chat=prompts.render("answer", question=question),
        prompts=prompts,
        shown={"question": question, "options": "", "correct": exercise.answer},
        is_right=partial(states_gold, gold=exercise.answer),
        meta={"gold": exercise.answer, "subject": exercise.subject},
    )
