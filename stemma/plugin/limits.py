"""Program that prints the values that Axolotl's settings may have, for the pinned list of its keys.

Its pydantic models say little of numbers; what their validators refuse is found by asking them, and
names of optimizers and schedules are those of the installed transformers. `stemma.recipe.schema`
runs it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, get_args

Bounds = dict[str, float]

STEP = ("ge", "gt", "le", "lt")
TRIED = (-1, 0, 1)
"""Numbers that a validator is asked about: what it refuses of them is all that one looks for."""


def limits() -> dict[str, Any]:
    """Of the installed Axolotl: {bounds: by key, names: texts that are all there are, by key}."""
    from axolotl.utils.schemas import enums
    from axolotl.utils.schemas.config import AxolotlInputConfig
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS
    from transformers.trainer_utils import IntervalStrategy, SaveStrategy, SchedulerType
    from transformers.training_args import OptimizerNames

    names = {
        "optimizer": [*_values(OptimizerNames), *_values(enums.CustomSupportedOptimizers)],
        # `HFRLTrainerBuilder` and its like put these two in cosine's place.
        "lr_scheduler": [*_values(SchedulerType), "one_cycle", "rex"],
        "eval_strategy": _values(IntervalStrategy),
        "save_strategy": _values(SaveStrategy),
        "attn_implementation": sorted(enums.CANONICAL_ATTN_IMPLS),
        "rl": _values(enums.RLType),
    }
    lists = [found for found in TARGETS.values() if isinstance(found, list)]  # else an expression
    return {
        "bounds": dict(_bounds(AxolotlInputConfig)),
        "names": {key: sorted(set(found)) for key, found in names.items()},
        "modules": sorted({name for listed in lists for name in listed}),
    }


def _values(enum: type[Enum]) -> list[str]:
    return [str(member.value) for member in enum]


def _bounds(model: Any) -> Iterator[tuple[str, Bounds]]:
    """What a number must be, by key, as far as the model says so."""
    asked = {
        name: found.func
        for found in model.__pydantic_decorators__.field_validators.values()
        if found.info.mode == "after"
        for name in found.info.fields
    }
    for name, field in sorted(model.model_fields.items()):
        bounds = {
            step: getattr(limit, step)
            for limit in field.metadata
            for step in STEP
            if hasattr(limit, step)
        }
        if name in asked and set(get_args(field.annotation)) & {int, float}:
            bounds |= tried(asked[name])
        if bounds:
            yield name, bounds


def tried(validate: Callable[[float], Any]) -> Bounds:
    """The lower bound that a validator sets, of the three there may be."""
    refused = []
    for value in TRIED:
        try:
            validate(value)
        except (ValueError, DeprecationWarning):
            refused.append(value)
    known: dict[tuple[int, ...], Bounds] = {(-1,): {"ge": 0}, (-1, 0): {"gt": 0}}
    return known.get(tuple(refused), {})


if __name__ == "__main__":
    print(json.dumps(limits()))
