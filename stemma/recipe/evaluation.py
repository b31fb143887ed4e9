"""The recipe's section `eval`: variants to score, and tasks to score them on."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from stemma.recipe.sections import Section, Start


class TaskOptions(Section):
    """One task that every variant is scored on. The classes below are the tasks there are."""

    task: str
    """Its name."""
    limit: PositiveInt | None = None
    """The first n test rows (all by default)."""


class McqTask(TaskOptions):
    """Choice of the right option of a multiple-choice question."""

    task: Literal["mcq"]
    """Choice of the right option."""
    generate: bool = False
    """Whether the answer is also generated, as a user would see it, and its letter read."""
    max_new_tokens: PositiveInt = 32
    """Tokens of a generated answer, at most."""
    permute: int | None = None
    """A seed: each question is asked again with its choices in other orders, drawn by it."""
    permutations: PositiveInt = 1
    """How many other orders, where `permute` is given."""

    @model_validator(mode="after")
    def _has_a_seed(self) -> McqTask:
        if self.permute is None and self.permutations > 1:
            raise ValueError("permutations: give `permute` too, the seed that draws them")
        return self


class PreferenceTask(TaskOptions):
    """Reward of the chosen answer against the rejected one's."""

    task: Literal["preference"]
    """Reward of the chosen answer."""


class GenerationTask(TaskOptions):
    """Free answers, held against the gold ones."""

    task: Literal["generation"]
    """Free answers."""
    max_new_tokens: PositiveInt = 64
    """Tokens to write, at most."""


class SpeedTask(TaskOptions):
    """Size, memory and tokens a second."""

    task: Literal["speed"]
    """Tokens a second."""
    max_new_tokens: PositiveInt = 64
    """Tokens to write."""
    prompt_tokens: PositiveInt = 128
    """Length of the prompt that is read, in tokens."""


EvalTask = Annotated[
    McqTask | PreferenceTask | GenerationTask | SpeedTask, Field(discriminator="task")
]
"""A task by its name."""
TASK_OPTIONS: dict[str, type[TaskOptions]] = {
    "mcq": McqTask,
    "preference": PreferenceTask,
    "generation": GenerationTask,
    "speed": SpeedTask,
}


class NonInferiority(Section):
    """What counts as "as good as merged": at most so much worse, shown with so much confidence."""

    margin: float = Field(default=0.02, gt=0, lt=1)
    """The largest loss of accuracy that is acceptable, as a share (0.02: two points)."""
    level: float = Field(default=0.95, gt=0.5, lt=1)
    """The confidence with which a larger loss must be ruled out, one-sided."""
    changed: float = Field(default=0.1, gt=0, le=1)
    """The share of answers that a format is expected to change, for better or worse: what `plan`
    reckons with before anything is measured."""


class TextMetrics(Section):
    """Text metrics of the replies of task `generation`: overlap with the row's own answer, entity
    graph, repetition."""

    tagger: Literal["spacy", "light"] = "spacy"
    """What finds the nouns of the entity graph: spaCy's English model (`pip install -e '.[spacy]'`
    and the model), or the bundled word lists, which need no download."""
    spacy_model: str = "en_core_web_sm"
    """The name of the installed spaCy model."""
    k: int = Field(default=3, ge=2)
    """Sentences of each reply that `entity_graph_first_k` looks at; shorter replies are left
    out."""


class EvalSection(Section):
    """Variants to score and tasks to score them on."""

    variants: list[str] = Field(min_length=1)
    """What to score: `base`, a stage's name, `merged`, `bnb-nf4`, `gguf-Q4_K_M`, …"""
    tasks: list[EvalTask] = Field(min_length=1)
    """What to score it on."""
    beta: float = 0.1
    """Scales rewards: beta * (log p_policy - log p_reference), summed over the answer's tokens."""
    reference: Start = "base"
    """Whose merged weights the rewards of `preference` are measured against."""
    text: TextMetrics | None = None
    """Text metrics of generated replies; null: none."""
    threads: PositiveInt | None = None
    """CPU threads; by default as many as there are usable cores."""
    non_inferiority: NonInferiority = NonInferiority()
    """When a variant counts as good as `merged`."""

    @model_validator(mode="after")
    def _texts_are_generated(self) -> EvalSection:
        if self.text and all(task.task != "generation" for task in self.tasks):
            raise ValueError("text: its metrics are of replies; `tasks` has no `generation`")
        return self
