"""Check of a base model before anything runs: its weights are all there, are what config.json says,
and go with its tokenizer.

transformers fills weights that are missing with random ones and drops those it does not know, with
a line in a log; what was trained on top then passes every gate. Only headers and JSON are read: no
torch, and no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.base_model.files import read_shapes, tokenizer_folder
from stemma.base_model.layout import embedding_rows, weight_problems
from stemma.base_model.shards import read_weights
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
from stemma.plain_files import not_plain
from stemma.targets import target_problems
from stemma.templates import Template

if TYPE_CHECKING:
    from stemma.recipe.models import Recipe
    from stemma.runs import Run

CONFIG = "config.json"
ADAPTER = "adapter_config.json"
SUFFIXES = (".json", ".safetensors", ".jinja", ".model")


def refuse_unfit(folder: Path, weightless: bool = False) -> None:
    """Raise UserError with everything that makes the model in `folder` unfit to train on.

    `weightless`: it may hold no weights yet, as for `plan` and `data`, which read only its config
    and its tokenizer.
    """
    problems = list(problems_of(folder, weightless))
    if problems:
        raise UserError(problems)


def check_base_model(recipe: Recipe, run: Run, stages: Sequence[str]) -> None:
    """Raise UserError where the recipe's base model does not fit the `stages` that are to run.

    The weights are looked at where they are a local folder (those of the hub are when they are
    fetched), the tokenizer wherever it lies on this machine.
    """
    problems: list[Problem] = []
    if recipe.base_folder:
        weightless = not set(stages) & set(recipe.training_stages())
        problems += problems_of(recipe.base_folder, weightless)
        names = (TOKENIZER, TOKENIZER_CONFIG)
        lacking = [name for name in names if not (recipe.base_folder / name).is_file()]
        is_whole = not weightless or any(recipe.base_folder.glob("*.safetensors"))
        if lacking and is_whole and not problems:
            found = f"no {', no '.join(lacking)}"
            problems.append(Problem(str(recipe.base_folder), found, "the model's tokenizer"))
    problems += _stage_problems(recipe, run)
    tokenizer = tokenizer_folder(recipe, run)
    if tokenizer and recipe.training_stages() and not problems:
        template = Template.read(recipe.template, tokenizer)
        problems += stop_problems(template, tokenizer, recipe.chat_template)
    elif recipe.base and not tokenizer:
        problems += made_stop_problems(Template.read(recipe.template), recipe.chat_template)
    if tokenizer and set(stages) & set(recipe.training_stages()) and not problems:
        problems += converter_problems(tokenizer)
    if problems:
        raise UserError(problems)


def _stage_problems(recipe: Recipe, run: Run) -> list[Problem]:
    """Adapters that this model cannot carry and sequences it was not made for.

    Nothing where the model's shapes are not known on this machine.
    """
    try:
        shapes = read_shapes(recipe, run)
    except UserError:
        return []
    places = {stage: f"{recipe.path.name}: {stage}" for stage in recipe.training_stages()}
    found = [
        one
        for stage, place in places.items()
        for one in target_problems(recipe.axolotl(stage), shapes, place)
    ]
    if recipe.base:
        places["base"] = f"{recipe.path.name}: base"
    lengths = {
        place: recipe.training_settings(stage)["sequence_len"] for stage, place in places.items()
    }
    expected = f"at most {shapes.positions}, by max_position_embeddings"
    hint = "lower it: Axolotl only warns, and what the model says behind its last position is noise"
    found += [
        Problem(place, f"sequence_len {length}", expected, hint)
        for place, length in lengths.items()
        if shapes.positions is not None and length > shapes.positions
    ]
    return list(dict.fromkeys(found))


def problems_of(folder: Path, weightless: bool = False) -> tuple[Problem, ...]:
    """Everything wrong with the model in `folder`. Files that did not change are read once."""
    named = [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES]
    odd = [Problem(str(one), found, "a model's file") for one in named if (found := not_plain(one))]
    if odd:
        return tuple(odd)
    stats = ((path.name, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    state = tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
    return _problems_of_state(folder, weightless, state)


@cache
def _problems_of_state(
    folder: Path, weightless: bool, files: tuple[tuple[str, int, int], ...]
) -> tuple[Problem, ...]:
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
        expected = "the architecture's name, e.g. `gemma`"
        yield Problem(str(folder / CONFIG), found, expected, "transformers goes by it")
        return
    yield from _foreign(folder, config)
    tensors, problems = read_weights(folder, weightless)
    yield from problems
    quantised = config.get("quantization_config")
    if quantised:
        kind = quantised.get("quant_method", "") if isinstance(quantised, dict) else ""
        found = f"quantised weights (`quantization_config`{f', {kind}' if kind else ''})"
        hint = "take the model they were made from; `adapter: qlora` quantises while it trains"
        yield Problem(str(folder / CONFIG), found, "weights in float32, bfloat16 or float16", hint)
    elif tensors and not problems:
        yield from weight_problems(folder, config, tensors)
    yield from token_problems(folder, config, embedding_rows(tensors) or config.get("vocab_size"))


def _foreign(folder: Path, config: dict[str, Any]) -> Iterator[Problem]:
    """Files that transformers would read beside, or instead of, the model."""
    if (folder / ADAPTER).is_file():
        found = "an adapter's files in a model's folder: transformers puts it on the model it loads"
        hint = (
            f"delete {ADAPTER} and adapter_model.safetensors if it is merged already; "
            "else merge it first"
        )
        yield Problem(str(folder / ADAPTER), found, "a model alone", hint)
    settings = {folder / CONFIG: config}
    tokenizer = folder / TOKENIZER_CONFIG
    if tokenizer.is_file():
        settings[tokenizer] = read_object(tokenizer)
    for path, value in settings.items():
        if value.get("auto_map"):
            found = "`auto_map`: it comes with Python code of its own, which is never run"
            hint = "delete `auto_map` only if transformers' own class is known to compute the same"
            yield Problem(str(path), found, "an architecture that transformers knows", hint)


def _adapter_alone(folder: Path) -> Problem:
    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    hint = "merge it first"
    if base:
        hint = f"its base is `{base}`: merge them (peft: merge_and_unload, save_pretrained)"
    return Problem(str(folder), "an adapter alone", "a whole model", hint)
