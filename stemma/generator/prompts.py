"""The prompts a chat model is asked with: Jinja files, found beside the recipe or in the project.

A prompt has a block `user`, and perhaps a block `system`. What is filled in stands in tags:
`<question>`, `<options>`, `<correct>`, `<answer_a>`, `<answer_b>`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import StrictUndefined

from stemma.generator.jobs import ChatMessage
from stemma.metered_jinja import MeteredEnvironment, MeteredTemplate
from stemma.recipe.prompts import PromptFiles

ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")


class Prompts(PromptFiles):
    """A recipe's prompts, filled in."""

    def render(self, name: str, **values: str) -> tuple[ChatMessage, ...]:
        """The chat that a prompt opens. Every value it names must be given."""
        texts = _load(self.path(name)).render_blocks(ROLES, **values)
        return tuple(ChatMessage(role, texts[role].strip()) for role in ROLES if role in texts)


@cache
def _load(path: Path) -> MeteredTemplate:
    return MeteredTemplate.read(MeteredEnvironment(undefined=StrictUndefined), path)
