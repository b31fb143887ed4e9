"""The lineage of weights as a tree, that the page draws and the Markdown lists."""

from __future__ import annotations

from dataclasses import dataclass

from report.readable import size
from report.run_data import RunData
from stemma.recipe.models import Recipe


@dataclass(frozen=True)
class Node:
    """One set of weights; `identity` is its digest and size."""

    name: str
    made: str
    identity: str
    kind: str
    shipped: bool
    children: list[Node]


def tree(evidence: RunData, variant: str = "base") -> Node:
    """A set of weights and everything that was made from it."""
    recipe = evidence.recipe
    kind = "stage" if variant in recipe.training_stages() else "format"
    offspring = [name for name in recipe.variants() if parent(recipe, name) == variant]
    return Node(
        name=variant,
        made=made(recipe, variant),
        identity=identity(evidence, variant),
        kind="root" if variant == "base" else kind,
        shipped=variant == recipe.export.ship,
        children=[tree(evidence, name) for name in offspring],
    )


def parent(recipe: Recipe, variant: str) -> str | None:
    """The weights it started from."""
    if variant in recipe.training_stages():
        return recipe.stage(variant).start_from
    return {"base": None, "merged": recipe.export.from_}.get(variant, "merged")


def made(recipe: Recipe, variant: str) -> str:
    """The origin of the weights in a few words; of a preference stage its reference, too."""
    if server := recipe.eval.servers.get(variant):
        return f"{server.model} at {server.base_url}; size, memory and speed are not to be seen"
    if variant == "base":
        return "trained on the spot" if recipe.base else str(recipe.base_model)
    if variant in recipe.training_stages():
        start = recipe.stage(variant).start_from
        reference = f"; reference: {start}" if "rl" in recipe.axolotl(variant) else ""
        return f"LoRA on {start}{reference}"
    if variant == "merged":
        return f"{recipe.export.from_} in {recipe.export.merge.dtype}"
    return "bitsandbytes" if variant.startswith("bnb") else "llama.cpp"


def identity(evidence: RunData, variant: str) -> str:
    """Digest and size of the files; the revision of a base model that was not made here."""
    files = evidence.weights(variant)
    if files is None:
        return f"revision {(evidence.recipe.base_revision or 'local')[:8]}"
    return f"{files.sha256[:8]} · {size(files.bytes)}"
