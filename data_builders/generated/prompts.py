"""The prompts a generator is asked with: Jinja files, found beside the recipe or in the project.

A prompt has a block `user`, and perhaps a block `system`. What is filled in stands in tags:
`<question>`, `<options>`, `<correct>`, `<answer_a>`, `<answer_b>`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stemma import ROOT
from stemma.generator.jobs import ChatMessage

PROMPTS = ROOT / "recipes" / "prompts"
"""The project's own, for every recipe that brings none of that name."""
ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")


@dataclass(frozen=True)
class Prompts:
    """A recipe's prompts: `prompts/<name>.jinja` beside it, or else the project's own."""

    recipe_folder: Path = PROMPTS.parent

    def path(self, name: str) -> Path:
        """The file of a prompt."""
        beside = self.recipe_folder / "prompts" / f"{name}.jinja"
        return beside if beside.is_file() else PROMPTS / beside.name

    def files(self, *names: str) -> dict[str, Path]:
        """The files of several, by names that hold no place: wherever a recipe's own prompt lies,
        it stands for the project's."""
        paths = map(self.path, names)
        return {(PROMPTS / path.name).relative_to(ROOT).as_posix(): path for path in paths}

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
