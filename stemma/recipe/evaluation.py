"""The recipe's section `eval`: variants to score, and tasks to score them on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from stemma.recipe.sections import Section, Start


class EvalTask(Section):
    """One task that every variant is scored on."""

    task: Literal["mcq", "preference", "generation", "speed"]
    """Choice of the right option, reward of the chosen answer, free answers, or tokens a second."""
    limit: PositiveInt | None = None
    """The first n test rows (all by default)."""
    max_new_tokens: PositiveInt = 64
    """Tokens to write, at most: `generation` and `speed`."""
    prompt_tokens: PositiveInt = 128
    """Length of the prompt that `speed` reads, in tokens."""


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
    threads: PositiveInt | None = None
    """CPU threads; by default as many as there are usable cores."""
