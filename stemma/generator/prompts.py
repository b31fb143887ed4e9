"""The prompts a chat model is asked with: Jinja files, found beside the recipe or in the project.

A prompt has a block `user`, and perhaps a block `system`. What is filled in stands in tags:
`<question>`, `<options>`, `<correct>`, `<answer_a>`, `<answer_b>`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stemma.generator.jobs import ChatMessage
from stemma.recipe.prompts import PromptFiles

ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")


class Prompts(PromptFiles):
    """A recipe's prompts, filled in."""

    def render(self, name: str, **values: str) -> tuple[ChatMessage, ...]:
        """The chat that a prompt opens. Every value it names must be given."""
        template = _load(self.path(name))
        context = template.new_context(values)
        texts = {
            role: "".join(template.blocks[role](context))
            for role in ROLES
            if role in template.blocks
        }
        return tuple(ChatMessage(role, text.strip()) for role, text in texts.items())


@cache
def _load(path: Path) -> Template:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(path.read_text(encoding="utf-8"))
