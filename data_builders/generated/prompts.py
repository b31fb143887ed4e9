"""What the generator is asked: the prompts of `recipes/prompts`, filled in.

A prompt is a Jinja file with a block `user`, and perhaps a block `system`. What is filled in stands
in tags: `<question>`, `<options>`, `<correct>`, `<answer_a>`, `<answer_b>`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stemma import ROOT
from stemma.generator.jobs import ChatMessage

PROMPTS = ROOT / "recipes" / "prompts"
ROLES: tuple[Literal["system", "user"], ...] = ("system", "user")


def prompt_files(*names: str) -> list[Path]:
    return [PROMPTS / f"{name}.jinja" for name in names]


def render(name: str, **values: str) -> tuple[ChatMessage, ...]:
    """The chat that `recipes/prompts/<name>.jinja` opens. Every value it names must be given."""
    template = _load(name)
    context = template.new_context(values)
    parts = {
        role: "".join(template.blocks[role](context)) for role in ROLES if role in template.blocks
    }
    return tuple(ChatMessage(role, text.strip()) for role, text in parts.items())


@cache
def _load(name: str) -> Template:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    [path] = prompt_files(name)
    return environment.from_string(path.read_text(encoding="utf-8"))
