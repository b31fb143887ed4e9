"""The chain of stages: which there are, in which order, and what each of them reads."""

from __future__ import annotations

from stemma.recipe.models import Recipe

STAGES = ("data", "base", "sft", "dpo", "mcq", "export", "rag", "eval", "report")
"""In the order they run."""
TRAINED = ("base", "sft", "dpo", "mcq")
"""The stages whose weights Axolotl trains."""


def chain(recipe: Recipe) -> list[str]:
    """Every stage this recipe has, in the order it runs."""
    searches = ["rag"] if recipe.rag else []
    if recipe.is_data_only:
        return ["data", *searches]
    optional = {*recipe.training_stages(), *(["base"] if recipe.base else []), *searches}
    return [stage for stage in STAGES if stage in optional or stage not in (*TRAINED, "rag")]


def lineage(recipe: Recipe) -> list[str]:
    """The training stages behind what is exported, last first."""
    found: list[str] = []
    stage = recipe.export.from_
    while stage != "base":
        found.append(stage)
        stage = recipe.stage(stage).start_from
    return found


def upstream(recipe: Recipe, stage: str) -> list[str]:
    """The stages whose manifests `stage` reads, in chain order."""
    trained = recipe.training_stages()
    base = ["base"] if recipe.base else []
    if stage == "data":
        return []
    if stage in ("base", "rag"):
        return ["data"]
    if stage in trained:
        start = recipe.stage(stage).start_from
        return ["data", *([start] if start != "base" else base)]
    if stage == "export":
        last = recipe.export.from_
        return ["data", *base, *(trained[: trained.index(last) + 1] if last != "base" else [])]
    done = ["data", *base, *trained, "export", *(["rag"] if recipe.rag else [])]
    return done if stage == "eval" else [*done, "eval"]
