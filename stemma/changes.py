"""What changed since a stage was done: settings and inputs, in words. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from stemma.chain import STAGES
from stemma.recipe.models import TRAINING, Recipe

SHOWN = 3
"""Changes that are told one by one; of more, the number."""
LONGEST = 60
"""Characters of a value that is told whole."""
ABSENT = object()


def changed_settings(recipe: Recipe, stage: str, before: Mapping[str, Any]) -> list[str]:
    """Each setting that is not as it was, e.g. `sft.learning_rate 2e-4 -> 1e-4`."""
    now = json.loads(json.dumps(recipe.section(stage)))  # as a manifest holds it
    pairs = _differing("", before, now)
    return [f"{_in_recipe(recipe, stage, key)} {was} -> {now}" for key, was, now in pairs]


def changed_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Each file or result that is not as it was, e.g. `source file x.csv changed`."""
    found: dict[str, list[str]] = {}
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            how = "is new" if name not in before else "changed" if name in now else "is gone"
            stage, _, output = name.partition("/")
            if stage in STAGES:
                found.setdefault(f"what `{stage}` made changed", []).append(output)
            else:
                found[f"{_file_in_words(name)} {how}"] = []
    return [f"{what} ({listed(names)})" if names else what for what, names in found.items()]


def listed(changes: list[str]) -> str:
    """The first few changes, and how many more there are."""
    more = len(changes) - SHOWN
    return ", ".join(changes[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _differing(key: str, before: Any, now: Any) -> Iterator[tuple[str, str, str]]:
    """The innermost places where two values differ, with both in words."""
    if before == now:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*before, *now)):
            inner = f"{key}.{name}" if key else name
            yield from _differing(inner, before.get(name, ABSENT), now.get(name, ABSENT))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from _differing(f"{key}[{number}]", old, new)
    else:
        yield key, _value(before), _value(now)


def _value(value: Any) -> str:
    if value is ABSENT:
        return "(not set)"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        return f"{Decimal(repr(value)).normalize():e}"
    if isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value):
        return f"{len(value)} entries"
    if isinstance(value, dict):
        return "a section" if value else "{}"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _in_recipe(recipe: Recipe, stage: str, key: str) -> str:
    """A place in a stage's section as the recipe's key."""
    own = {"seed", "base_model", "base_revision", "name"}
    first, _, rest = key.partition(".")
    if stage not in TRAINING or first in own:
        return key
    if first != "axolotl":
        return f"{stage}.{key}"
    of_stage = recipe.stage(stage).axolotl
    shared = rest.split(".")[0] in recipe.train and rest.split(".")[0] not in of_stage
    return f"{'train' if shared else stage}.{rest}"


def _file_in_words(name: str) -> str:
    """A file, which a key calls e.g. `data.sft[0]: x.csv` or `base_model`."""
    place, colon, file = name.partition(": ")
    if colon and place.startswith(("data.", "rag.sources")):
        return f"source file {file}"
    known = {"base_model": "the base model", "chat_template": "the chat template"}
    return known.get(name) or name
