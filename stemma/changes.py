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
    found = _differing("", before, now)
    return [f"{_in_recipe(recipe, stage, key)} {how}" for key, how in found]


def changed_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Each file or result that is not as it was, e.g. `source file x.csv changed`.

    A source that only moved in its list reads the same file as ever.
    """
    found: dict[str, list[str]] = {}
    was, is_now = _by_words(before), _by_words(now)
    for words, output in dict.fromkeys(map(_input_in_words, sorted({*before, *now}))):
        old, new = was.get((words, output)), is_now.get((words, output))
        if old != new:
            how = "is new" if old is None else "is no longer read" if new is None else "changed"
            found.setdefault(f"{words} {how}", []).extend([output] if output else [])
    return [f"{what} ({listed(names)})" if names else what for what, names in found.items()]


def _by_words(inputs: Mapping[str, str]) -> dict[tuple[str, str], set[str]]:
    """The digests of each file or result."""
    found: dict[tuple[str, str], set[str]] = {}
    for name, digest in inputs.items():
        found.setdefault(_input_in_words(name), set()).add(digest)
    return found


def _input_in_words(name: str) -> tuple[str, str]:
    """What an input is, and of a stage's results which one."""
    stage, _, output = name.partition("/")
    return (f"what `{stage}` made", output) if stage in STAGES else (_file_in_words(name), "")


def listed(changes: list[str]) -> str:
    """The first few changes, and how many more there are."""
    more = len(changes) - SHOWN
    return ", ".join(changes[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _differing(key: str, before: Any, now: Any) -> Iterator[tuple[str, str]]:
    """The innermost places where two values differ, and how, in words."""
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
        yield key, _entries(before, now) or _both(_value(before), _value(now))


def _entries(before: Any, now: Any) -> str:
    """What a list of words or numbers lost and gained; nothing where it is not that."""
    if not (_is_plain_list(before) and _is_plain_list(now)):
        return ""
    gone = [str(one) for one in before if one not in now]
    new = [str(one) for one in now if one not in before]
    told = [("without", gone), ("with", new)]
    return " and ".join(f"{word} {_cut(', '.join(names))}" for word, names in told if names)


def _is_plain_list(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(one, (dict, list)) for one in value)


def _both(before: str, now: str) -> str:
    """Two values, of long ones the part in which they differ."""
    start = 0
    if _cut(before) == _cut(now):
        pairs = enumerate(zip(before, now, strict=False))
        apart = (place for place, (one, other) in pairs if one != other)
        start = next(apart, min(len(before), len(now))) - LONGEST // 2
    lead = "…" if start else ""
    return f"{lead}{_cut(before[start:])} -> {lead}{_cut(now[start:])}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _value(value: Any) -> str:
    if value is ABSENT:
        return "(not set)"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, float) and 0 < abs(value) < 0.01:
        return f"{Decimal(repr(value)).normalize():e}"
    if isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value):
        return f"{len(value)} entr{'y' if len(value) == 1 else 'ies'}"
    if isinstance(value, dict):
        return "a section" if value else "{}"
    return str(value)


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
