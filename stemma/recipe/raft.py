"""The recipe's section `data.sft.raft`: passages before the questions of training rows."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from stemma.recipe.sections import Section, Tokens


class Raft(Section):
    """Retrieval-aware training (RAFT, arXiv 2403.10131): training and validation rows that bring
    the passage that supports their answer are asked with passages. Test rows stay as they are."""

    oracle: Annotated[float, Field(ge=0, le=1)] = 0.8
    """The probability that a row's own passage is among them; otherwise there are distractors
    alone, so that the model also learns what to do where a search missed."""
    distractors: Annotated[int, Field(ge=0, le=1000)] = 3
    """Passages beside its own: the nearest by BM25 of those that support other training rows, none
    that holds its answer."""
    max_tokens: Tokens = 512
    """Tokens of all of them, at most; as `rag.context.max_tokens`."""
    prompt: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "context"
    """The text around them, as `rag.context.prompt`: `prompts/<name>.jinja`."""
    cite: bool = True
    """Whether an answer cites its own passage, e.g. `[2]`, behind its first paragraph."""
