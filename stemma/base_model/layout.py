"""A model's tensors against its config.json: names, shapes and number formats."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from stemma.base_model.headers import Header
from stemma.errors import Problem
from stemma.shapes import FAMILIES, parse

STORED = ("F32", "BF16", "F16", "F64")
"""Number formats that can be trained on as they are."""
IGNORED = re.compile(r"\.rotary_emb\.inv_freq$")
"""Tensors in files of older transformers that follow from config.json."""
LAYER = re.compile(r"(?P<before>(?:.*\.)?(?:layers|h|blocks))\.(?P<number>\d+)\.(?P<name>.+)")
NAMED = 3
"""Tensors of one problem that are named, at most."""

Tensors = Mapping[str, Header]


def weight_problems(folder: Path, config: dict[str, Any], tensors: Tensors) -> Iterator[Problem]:
    """Everything in which the tensors are not what `config`, the folder's config.json, says."""
    odd = sorted(name for name, one in tensors.items() if one.dtype not in STORED)
    if odd and not all(IGNORED.search(name) for name in odd):
        dtypes = ", ".join(sorted({tensors[name].dtype for name in odd}))
        expected = "weights in float32, bfloat16 or float16"
        yield Problem(str(folder), f"weights stored as {dtypes}: {listed(odd)}", expected)
        return
    if config.get("model_type") in FAMILIES:
        expected_shapes = parse(config, str(folder / "config.json")).tensors()
        yield from _compared(folder, tensors, expected_shapes)
    else:
        yield from _uneven(folder, config, tensors)


def _compared(
    folder: Path, tensors: Tensors, expected: dict[str, tuple[int, ...]]
) -> Iterator[Problem]:
    """Missing, of another shape, and not known: three problems at most."""
    found = _as_named(tensors, expected)
    missing = [name for name in expected if name not in found]
    hint = _why(tensors)
    if missing:
        text = f"{len(missing)} of {len(expected)} weights are missing: {listed(missing)}"
        yield Problem(str(folder), text, "every weight that config.json asks for", hint)
    sizes = expected | {"lm_head.weight": expected["model.embed_tokens.weight"]}
    for name in (name for name in found if name in sizes and found[name].shape != sizes[name]):
        text = f"`{name}` is {_shape(found[name].shape)}"
        yield Problem(str(found[name].path), text, f"{_shape(sizes[name])}, by config.json")
        break  # one wrong width in config.json shows in every layer
    strange = [name for name in found if name not in sizes and not IGNORED.search(name)]
    if strange:
        text = f"{len(strange)} weights that this architecture does not have: {listed(strange)}"
        expected_names = "the weights that config.json describes"
        yield Problem(str(folder), text, expected_names, "" if missing else hint)


def _as_named(tensors: Tensors, expected: Mapping[str, Any]) -> dict[str, Header]:
    """The tensors by the names of the whole model.

    A model that was saved without its head lacks the `model.` in front, which transformers allows.
    """
    if any(name.startswith("model.") for name in tensors):
        return dict(tensors)
    return {
        f"model.{name}" if f"model.{name}" in expected else name: one
        for name, one in tensors.items()
    }


def _why(tensors: Tensors) -> str:
    """A hint at how the names may have come about."""
    for prefix in ("module.", "_orig_mod.", "base_model.model."):
        if any(name.startswith(prefix) for name in tensors):
            return (
                f"the names begin with `{prefix}`, which a trainer's wrapper put there: "
                "save the model inside it"
            )
    if any(".lora_A." in name or ".base_layer." in name for name in tensors):
        return "an adapter was saved unmerged: merge_and_unload first"
    return (
        "transformers would put random ones in their place and go on; copy or save the model anew"
    )


def _uneven(folder: Path, config: dict[str, Any], tensors: Tensors) -> Iterator[Problem]:
    """Gaps in an architecture that is not known here: layers must be alike and all there."""
    stacks: dict[str, dict[int, set[str]]] = {}
    for match in filter(None, map(LAYER.fullmatch, tensors)):
        layers = stacks.setdefault(match["before"], {})
        layers.setdefault(int(match["number"]), set()).add(match["name"])
    lacking = []
    for before, layers in stacks.items():
        count = (len(stacks) == 1 and config.get("num_hidden_layers")) or max(layers) + 1
        lacking += [f"{before}.{number}" for number in range(count) if number not in layers]
        for number, names in layers.items():
            fuller = next((other for other in layers.values() if names < other), names)
            lacking += [f"{before}.{number}.{name}" for name in fuller - names]
    rows = [
        name
        for name, one in tensors.items()
        if len(one.shape) == 2 and one.shape[0] == config.get("vocab_size")
    ]
    if config.get("tie_word_embeddings") is False and len(rows) == 1:
        lacking.append(f"a head beside {rows[0]}")
    if lacking:
        found = f"weights are missing: {listed(lacking)}"
        whole = "layers that are alike, all of them, and a head"
        yield Problem(str(folder), found, whole, _why(tensors))


def embedding_rows(tensors: Tensors) -> int | None:
    """The number of tokens that have an embedding, by the weights."""
    found = (
        one.shape[0]
        for name, one in tensors.items()
        if name.endswith("embed_tokens.weight") and one.shape
    )
    return next(found, None)


def listed(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    ordered = sorted(names, key=_by_layer)
    more = f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else ""
    return ", ".join(ordered[:NAMED]) + more


def _by_layer(name: str) -> list[tuple[int, str]]:
    """Sort key that puts layer 2 before layer 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
