"""The prompts of the generator: Jinja files under `recipes/prompts`, rendered in a sandbox."""

from __future__ import annotations

from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stemma import ROOT

FOLDER = ROOT / "recipes" / "prompts"


def render(name: str, **values: str) -> str:
    """The prompt `recipes/prompts/<name>.jinja`, filled in."""
    text = (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined).from_string(text).render(**values)
