"""Options of each evaluation task: a class a task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stemma.recipe.sections import Count, Section, Seed, Tokens


class TaskOptions(Section):
    """One task that every variant is scored on. The classes below are the tasks there are."""

    task: str
    """Its name."""
    limit: Count | None = None
    """The first n test rows (all by default)."""


Formulation = Literal["multiple_choice", "cloze"]
"""How a multiple-choice question is put."""
UNSET_TOKENS = 32
"""Tokens of a multiple-choice reply where a recipe gives no number."""


class McqTask(TaskOptions):
    """Choice of the right option of a multiple-choice question."""

    task: Literal["mcq"]
    """Choice of the right option."""
    # Left out where it is as before: what was measured stays measured.
    formulation: Formulation = Field(
        default="multiple_choice", exclude_if=lambda value: value == "multiple_choice"
    )
    """How a question is put: `multiple_choice` lists its options; `cloze` asks it without them, and
    scores each option's text as the answer, whatever a row's `answer_as` says."""
    generate: bool = False
    """Whether the answer is also generated, as a user would see it, and its letter read."""
    max_new_tokens: Tokens = UNSET_TOKENS
    """Tokens of a generated answer, at most."""
    permute: Seed | None = None
    """A seed: each question is asked again with its choices in other orders, drawn by it."""
    permutations: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many other orders, where `permute` is given."""

    @model_validator(mode="after")
    def _has_a_seed(self) -> McqTask:
        if self.permute is None and self.permutations > 1:
            raise ValueError("permutations: give `permute` too, the seed that draws them")
        return self

    @model_validator(mode="after")
    def _is_heeded(self) -> McqTask:
        if not self.generate and self.max_new_tokens != UNSET_TOKENS:
            raise ValueError("max_new_tokens: no reply is written; give `generate: true` too")
        return self

    @model_validator(mode="after")
    def _has_options_in_view(self) -> McqTask:
        if self.formulation == "cloze" and self.generate:
            raise ValueError(
                "generate: a reply picks an option in view, and `formulation: cloze` shows none; "
                "task `generation` holds free answers against the gold ones"
            )
        if self.formulation == "cloze" and self.permute is not None:
            raise ValueError("permute: `formulation: cloze` shows no options, so none can move")
        return self


class PreferenceTask(TaskOptions):
    """Reward of the chosen answer against the rejected one's."""

    task: Literal["preference"]
    """Reward of the chosen answer."""


class GenerationTask(TaskOptions):
    """Free answers, held against the gold ones."""

    task: Literal["generation"]
    """Free answers."""
    max_new_tokens: Tokens = 64
    """Tokens to write, at most."""


class DivergenceTask(TaskOptions):
    """Next-token predictions against merged's, along the chosen answers of preference pairs."""

    task: Literal["divergence"]
    """Predictions against merged's."""
    limit: Count | None = 64
    """The first n questions; each costs 170 KB of disk a variant."""


class SpeedTask(TaskOptions):
    """Size, memory and tokens a second."""

    task: Literal["speed"]
    """Tokens a second."""
    max_new_tokens: Tokens = 64
    """Tokens to write."""
    prompt_tokens: Tokens = 128
    """Length of the prompt that is read, in tokens."""


EvalTask = Annotated[
    McqTask | PreferenceTask | GenerationTask | DivergenceTask | SpeedTask,
    Field(discriminator="task"),
]
"""A task by its name."""
FIGURED = ("text", "judge", "retrieval")
"""Names in the results of what is figured beside the tasks: text metrics, ratings by judges, the
search alone."""
ARM_TASKS = ("mcq", "preference", "generation")
"""Tasks whose questions can be asked with passages before them."""
BENCHMARK = "lm_eval/"
"""Before a benchmark's name in the results."""
TASK_OPTIONS: dict[str, type[TaskOptions]] = {
    "mcq": McqTask,
    "preference": PreferenceTask,
    "generation": GenerationTask,
    "divergence": DivergenceTask,
    "speed": SpeedTask,
}
