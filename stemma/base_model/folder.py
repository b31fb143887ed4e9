"""A base model's folder, looked at once and before anything runs: whether its weights are all there,
are what config.json says, and go with its tokenizer.

transformers fills weights that are missing with random ones and drops those it does not know, with a line in a log;
what was trained on top then passes every gate. Only headers and JSON are read: no torch, and no weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.base_model.files import read_shapes, tokenizer_folder
from stemma.base_model.headers import BESIDE, COPY_ANEW, Header, headers_of
from stemma.base_model.vocabulary import (
    TOKENIZER,
    TOKENIZER_CONFIG,
    converter_problems,
    made_stop_problems,
    stop_problems,
    token_problems,
)
from stemma.errors import Problem, UserError
from stemma.jsonl import read_object
from stemma.shapes import FAMILIES, parse
from stemma.targets import target_problems
from stemma.templates import Template

if TYPE_CHECKING:
    from stemma.recipe.models import Recipe
    from stemma.runs import Run

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt", "consolidated*.bin")
STORED = ("F32", "BF16", "F16", "F64")
"""Weights that can be trained on as they are."""
IGNORED = re.compile(r"\.rotary_emb\.inv_freq$")
"""Files of older transformers hold these; they follow from config.json."""
LAYER = re.compile(r"(?P<before>(?:.*\.)?(?:layers|h|blocks))\.(?P<number>\d+)\.(?P<name>.+)")
NAMED = 3
"""So many tensors of one problem are named."""

Tensors = Mapping[str, Header]


def refuse_unfit(folder: Path, weightless: bool = False) -> None:
    """Raises UserError with everything that makes the model in `folder` unfit. `weightless`: it may hold no weights
    yet, as for `plan` and `data`, which read only its config and its tokenizer."""
    problems = list(problems_of(folder, weightless))
    if problems:
        raise UserError(problems)


def meet(recipe: Recipe, run: Run, stages: Sequence[str]) -> None:
    """Look at the recipe's base model before `stages` run: at a folder's weights (those that the hub keeps are looked
    at when they are fetched), and at its tokenizer, wherever that lies. Raises UserError."""
    problems: list[Problem] = []
    if recipe.base_folder:
        weightless = not set(stages) & set(recipe.training_stages())
        problems += problems_of(recipe.base_folder, weightless)
        lacking = [n for n in (TOKENIZER, TOKENIZER_CONFIG) if not (recipe.base_folder / n).is_file()]
        is_whole = not weightless or any(recipe.base_folder.glob("*.safetensors"))
        if lacking and is_whole and not problems:
            problems.append(Problem(str(recipe.base_folder), f"no {', no '.join(lacking)}", "the model's tokenizer"))
    problems += _stage_problems(recipe, run)
    tokenizer = tokenizer_folder(recipe, run)
    if tokenizer and recipe.training_stages() and not problems:
        problems += stop_problems(Template.read(recipe.template, tokenizer), tokenizer, recipe.chat_template)
    elif recipe.base and not tokenizer:
        problems += made_stop_problems(Template.read(recipe.template), recipe.chat_template)
    if tokenizer and set(stages) & set(recipe.training_stages()) and not problems:
        problems += converter_problems(tokenizer)
    if problems:
        raise UserError(problems)


def _stage_problems(recipe: Recipe, run: Run) -> list[Problem]:
    """Adapters that this model cannot carry and sequences it was not made for, where its shapes are known here."""
    try:
        shapes = read_shapes(recipe, run)
    except UserError:
        return []
    places = {stage: f"{recipe.path.name}: {stage}" for stage in recipe.training_stages()}
    found = [one for stage, place in places.items() for one in target_problems(recipe.axolotl(stage), shapes, place)]
    lengths = {place: recipe.training_settings(stage)["sequence_len"] for stage, place in places.items()}
    hint = "lower it: Axolotl only warns, and what the model says behind its last position is noise"
    found += [
        Problem(place, f"sequence_len {length}", f"at most {shapes.positions}, by max_position_embeddings", hint)
        for place, length in lengths.items()
        if shapes.positions is not None and length > shapes.positions
    ]
    return list(dict.fromkeys(found))


def problems_of(folder: Path, weightless: bool = False) -> tuple[Problem, ...]:
    """What is wrong; the same files are looked at once."""
    stats = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return _looked(folder, weightless, tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats))


@cache
def _looked(folder: Path, weightless: bool, files: tuple[tuple[str, int, int], ...]) -> tuple[Problem, ...]:
    names = {name for name, _, _ in files}
    if CONFIG not in names and ADAPTER not in names:
        return (Problem(str(folder), f"no {CONFIG}", "a model folder as transformers saves it"),)
    try:
        if ADAPTER in names and CONFIG not in names:
            return (_adapter_alone(folder),)
        config = read_object(folder / CONFIG)
        return tuple(_problems(folder, config, weightless))
    except UserError as error:
        return tuple(error.problems)


def _problems(folder: Path, config: dict[str, Any], weightless: bool) -> Iterator[Problem]:
    if not isinstance(config.get("model_type"), str):
        found = f"`model_type` is {config.get('model_type')!r}"
        yield Problem(str(folder / CONFIG), found, "the architecture's name, e.g. `gemma`", "transformers goes by it")
        return
    yield from _foreign(folder, config)
    tensors, problems = _read_weights(folder, weightless)
    yield from problems
    quantised = config.get("quantization_config")
    if quantised:
        kind = quantised.get("quant_method", "") if isinstance(quantised, dict) else ""
        found = f"quantised weights (`quantization_config`{f', {kind}' if kind else ''})"
        hint = "take the model they were made from; `adapter: qlora` quantises while it trains"
        yield Problem(str(folder / CONFIG), found, "weights in float32, bfloat16 or float16", hint)
    elif tensors and not problems:
        yield from _weight_problems(folder, config, tensors)
    yield from token_problems(folder, config, _rows(tensors) or config.get("vocab_size"))


def _foreign(folder: Path, config: dict[str, Any]) -> Iterator[Problem]:
    """What transformers would read beside, or instead of, the model."""
    if (folder / ADAPTER).is_file():
        found = "an adapter's files in a model's folder: transformers puts it on the model it loads"
        hint = f"delete {ADAPTER} and adapter_model.safetensors if it is merged already; else merge it first"
        yield Problem(str(folder / ADAPTER), found, "a model alone", hint)
    tokenizer = folder / "tokenizer_config.json"
    for path, value in ((folder / CONFIG, config), (tokenizer, read_object(tokenizer) if tokenizer.is_file() else {})):
        if value.get("auto_map"):
            found = "`auto_map`: it comes with Python code of its own, which is never run"
            hint = "delete `auto_map` only if transformers' own class is known to compute the same"
            yield Problem(str(path), found, "an architecture that transformers knows", hint)


def _adapter_alone(folder: Path) -> Problem:
    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    hint = f"its base is `{base}`: merge them (peft: merge_and_unload, save_pretrained)" if base else "merge it first"
    return Problem(str(folder), "an adapter alone", "a whole model", hint)


def _read_weights(folder: Path, weightless: bool) -> tuple[Tensors, list[Problem]]:
    """The tensors of the files that transformers would load, and what is wrong with those files."""
    files = (path for path in folder.glob("*.safetensors") if path.is_file())
    present = {path.name for path in files if not path.name.startswith(BESIDE)}
    if WEIGHTS not in present and not (folder / INDEX).is_file():
        return {}, _no_weights(folder, present, weightless)
    wanted = {WEIGHTS} if WEIGHTS in present else set(_weight_map(folder).values())
    problems = [Problem(str(folder / name), "no such file", f"a file that {INDEX} names", COPY_ANEW)
                for name in sorted(wanted - present)]  # fmt: skip
    if present - wanted:
        found = f"weights that nothing names: {_some(present - wanted)}"
        problems.append(Problem(str(folder), found, f"only {_some(wanted)}", "move the others elsewhere"))
    tensors: dict[str, Header] = {}
    for name in sorted(wanted & present):
        try:
            tensors |= headers_of(folder / name)
        except UserError as error:
            problems += error.problems
    if WEIGHTS not in present and not problems:
        problems += _index_problems(folder, tensors)
    return tensors, problems


def _index_problems(folder: Path, tensors: Tensors) -> Iterator[Problem]:
    """transformers reads of a shard what the index says is there."""
    said = _weight_map(folder)
    apart = {name for name in said.keys() | tensors.keys()
             if name not in tensors or said.get(name) != tensors[name].path.name}  # fmt: skip
    if apart:
        found = f"{len(apart)} tensors are not where it says: {_some(apart)}"
        yield Problem(str(folder / INDEX), found, "the index of these files", COPY_ANEW)


def _weight_map(folder: Path) -> dict[str, str]:
    found = read_object(folder / INDEX).get("weight_map")
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise UserError(Problem(str(folder / INDEX), "no `weight_map`", "the file of each tensor", COPY_ANEW))
    return found


def _no_weights(folder: Path, present: set[str], weightless: bool) -> list[Problem]:
    pickles = {path.name for pattern in PICKLES for path in folder.glob(pattern)}
    if pickles and not present:
        found = f"weights as pickles only ({_some(pickles)}): loading a pickle runs code that is in it"
        hint = "if you trust them: load them with transformers and `save_pretrained`, which writes safetensors"
        return [Problem(str(folder), found, WEIGHTS, hint)]
    if present:
        found = f"{_some(present)}, but neither {WEIGHTS} nor {INDEX}"
        return [Problem(str(folder), found, "the names that transformers looks for", COPY_ANEW)]
    return [] if weightless else [Problem(str(folder), "no weights", f"{WEIGHTS}, or {INDEX} and its files")]


def _weight_problems(folder: Path, config: dict[str, Any], tensors: Tensors) -> Iterator[Problem]:
    odd = sorted(name for name, one in tensors.items() if one.dtype not in STORED)
    if odd and not all(IGNORED.search(name) for name in odd):
        dtypes = ", ".join(sorted({tensors[name].dtype for name in odd}))
        expected = "weights in float32, bfloat16 or float16"
        yield Problem(str(folder), f"weights stored as {dtypes}: {_some(odd)}", expected)
        return
    if config.get("model_type") in FAMILIES:
        expected_shapes = parse(config, str(folder / CONFIG)).tensors()
        yield from _compared(folder, tensors, expected_shapes)
    else:
        yield from _uneven(folder, config, tensors)


def _compared(folder: Path, tensors: Tensors, expected: dict[str, tuple[int, ...]]) -> Iterator[Problem]:
    """Missing, of another shape, and not known: three problems at most."""
    found = _as_named(tensors, expected)
    missing = [name for name in expected if name not in found]
    hint = _why(tensors)
    if missing:
        text = f"{len(missing)} of {len(expected)} weights are missing: {_some(missing)}"
        yield Problem(str(folder), text, "every weight that config.json asks for", hint)
    sizes = expected | {"lm_head.weight": expected["model.embed_tokens.weight"]}
    for name in (name for name in found if name in sizes and found[name].shape != sizes[name]):
        text = f"`{name}` is {_shape(found[name].shape)}"
        yield Problem(str(found[name].path), text, f"{_shape(sizes[name])}, by config.json")
        break  # one wrong width in config.json shows in every layer
    strange = [name for name in found if name not in sizes and not IGNORED.search(name)]
    if strange:
        text = f"{len(strange)} weights that this architecture does not have: {_some(strange)}"
        yield Problem(str(folder), text, "the weights that config.json describes", "" if missing else hint)


def _as_named(tensors: Tensors, expected: Mapping[str, Any]) -> dict[str, Header]:
    """By the names of the whole model: one saved without its head lacks the `model.` in front, as transformers
    knows."""
    if any(name.startswith("model.") for name in tensors):
        return dict(tensors)
    return {f"model.{name}" if f"model.{name}" in expected else name: one for name, one in tensors.items()}


def _why(tensors: Tensors) -> str:
    for prefix in ("module.", "_orig_mod.", "base_model.model."):
        if any(name.startswith(prefix) for name in tensors):
            return f"the names begin with `{prefix}`, which a trainer's wrapper put there: save the model inside it"
    if any(".lora_A." in name or ".base_layer." in name for name in tensors):
        return "an adapter was saved unmerged: merge_and_unload first"
    return "transformers would put random ones in their place and go on; copy or save the model anew"


def _uneven(folder: Path, config: dict[str, Any], tensors: Tensors) -> Iterator[Problem]:
    """Of an architecture that is not known here: layers are alike, all there, and the head is where it must be."""
    stacks: dict[str, dict[int, set[str]]] = {}
    for match in filter(None, map(LAYER.fullmatch, tensors)):
        stacks.setdefault(match["before"], {}).setdefault(int(match["number"]), set()).add(match["name"])
    lacking = []
    for before, layers in stacks.items():
        count = (len(stacks) == 1 and config.get("num_hidden_layers")) or max(layers) + 1
        lacking += [f"{before}.{number}" for number in range(count) if number not in layers]
        for number, names in layers.items():
            fuller = next((other for other in layers.values() if names < other), names)
            lacking += [f"{before}.{number}.{name}" for name in fuller - names]
    rows = [name for name, one in tensors.items() if len(one.shape) == 2 and one.shape[0] == config.get("vocab_size")]
    if config.get("tie_word_embeddings") is False and len(rows) == 1:
        lacking.append(f"a head beside {rows[0]}")
    if lacking:
        found = f"weights are missing: {_some(lacking)}"
        yield Problem(str(folder), found, "layers that are alike, all of them, and a head", _why(tensors))


def _rows(tensors: Tensors) -> int | None:
    """How many tokens have an embedding."""
    found = (one.shape[0] for name, one in tensors.items() if name.endswith("embed_tokens.weight") and one.shape)
    return next(found, None)


def _some(names: Any) -> str:
    listed = sorted(names, key=_in_layers)
    return ", ".join(listed[:NAMED]) + (f" and {len(listed) - NAMED} more" if len(listed) > NAMED else "")


def _in_layers(name: str) -> list[tuple[int, str]]:
    """Layer 2 before layer 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def _shape(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
