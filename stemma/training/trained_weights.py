"""The number of weights a LoRA stage trains, counted from shapes: what its gate expects. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemma.base_model.files import read_shapes
from stemma.errors import Problem, UserError
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.shapes import Shapes
from stemma.targets import Targets

UNCOUNTED = ("lora_modules_to_save", "lora_target_parameters", "peft_use_dora")
"""Settings that train more than LoRA's own pairs, which these formulas do not know."""


def count_weights(recipe: Recipe, run: Run, stage: str) -> tuple[int, int] | str:
    """The weights a LoRA stage trains, and all there are with them; or why that is not known."""
    keys = recipe.training_settings(stage)
    try:
        shapes = read_shapes(recipe, run)
        refuse_uncounted(recipe, stage, keys)
    except UserError as error:
        return error.problems[0].found
    if quantised := quantised_as(keys):
        return f"the weights are packed in {quantised}"
    trained = count_adapters(keys, shapes)
    return trained, shapes.parameters() + trained


def count_adapters(keys: Mapping[str, Any], shapes: Shapes) -> int:
    """The weights of all LoRA pairs.

    A pair on a matrix [out, in] of rank r has r (out + in).
    """
    tensors = shapes.tensors()
    rank: int = keys.get("lora_r", 8)
    targets = Targets.of_stage(keys).among(tensors)
    return sum(rank * sum(tensors[name]) for name in targets)


def refuse_uncounted(recipe: Recipe, stage: str, keys: Mapping[str, Any]) -> None:
    """Raise UserError for settings that train more than is counted here."""
    uncounted = [key for key in UNCOUNTED if keys.get(key)]
    if uncounted:
        found = f"{stage}: `plan` does not count `{'`, `'.join(uncounted)}`"
        raise UserError(Problem(recipe.path.name, found))


def quantised_as(keys: Mapping[str, Any]) -> str | None:
    """The type the frozen weights are packed in while training (`nf4`, `int8`), or None."""
    if keys.get("load_in_4bit") or keys.get("adapter") == "qlora":
        return "nf4"
    return "int8" if keys.get("load_in_8bit") else None
