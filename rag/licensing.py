"""The licences of passages: recorded always, and refused where a release is public."""

from __future__ import annotations

from collections.abc import Iterator

from rag.sources import readers
from stemma.errors import Problem
from stemma.licences import UNSTATED, refusal
from stemma.recipe.models import Recipe
from stemma.recipe.rag import RagSection


def licences(section: RagSection) -> dict[str, str]:
    """By source: what the recipe says, or else what the source knows."""
    known = readers()
    return {
        source.called: source.licence or known[source.source].licence or UNSTATED
        for source in section.sources
    }


def refused(recipe: Recipe) -> Iterator[Problem]:
    """Sources whose text may not be passed on, where `data.release` is public."""
    if recipe.rag is None or recipe.data.release != "public":
        return
    for number, licence in enumerate(licences(recipe.rag).values()):
        if reason := refusal(licence):
            where = f"rag.sources[{number}]"
            hint = "take it out, set `data.release: private`, or give its `licence:`"
            found = f"a source of passages in a public release: {reason}"
            yield Problem(where, found, "text that may be passed on", hint)
