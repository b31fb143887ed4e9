"""What pydantic cannot know of a recipe: Axolotl's keys, what is Stemma's to set, and what lies or breaks. Pure.

Axolotl drops unknown keys silently and accepts settings it then ignores; both cost a day of training.
So its field list is pinned in `axolotl_fields.json` (`stemma.recipe.schema` writes it) and everything is refused here,
with reasons.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stemma.errors import Problem, UserError
from stemma.recipe.models import TRAINING, Recipe
from stemma.recipe.ranges import expected_of
from stemma.recipe.sections import AnswerStage, BaseModelSection, PreferenceStage, Sweep
from stemma.recipe.unheeded import GONE, LIES_UNDER_DPO, NEEDS_STOCK, REFUSED, SMOOTHED
from stemma.targets import setting_problems

Keys = tuple[str, ...]
Where = Callable[[Sequence[object]], str]

PINNED = Path(__file__).parent / "axolotl_fields.json"

OWN_KEYS: dict[str, tuple[str, ...]] = {
    "train": (),
    "base": tuple(BaseModelSection.model_fields),
    **dict.fromkeys(TRAINING, tuple(AnswerStage.model_fields)),
    "dpo": tuple(PreferenceStage.model_fields),
}

OWNED = {
    "base_model": "`start_from` in the stage; the model itself is the recipe's `base_model`",
    "base_model_config": "the recipe's `base_model`",
    "tokenizer_config": "the recipe's `base_model` (its tokenizer is used throughout)",
    "revision_of_model": "the recipe's `base_revision`",
    "datasets": "`data`",
    "test_datasets": "`data` (the validation parts)",
    "pretraining_dataset": "`data.corpus`",
    "val_set_size": "`data.<set>.parts.validation`",
    "output_dir": "nothing: a stage writes to runs/<recipe>/<stage> (`--runs` moves `runs`)",
    "dataset_prepared_path": "nothing: it is named by content, as Axolotl trains on stale data otherwise",
    "seed": "the recipe's `seed`",
    "plugins": "nothing: Stemma's plugin guards the run",
    **dict.fromkeys(("chat_template", "chat_template_jinja", "eot_tokens"), "the recipe's `chat_template`"),
    "special_tokens": "the recipe's `chat_template` (the stop token is what it ends an answer with)",
    **dict.fromkeys(("tokens", "added_tokens_overrides"), "nothing: the base model's tokenizer is kept as it is"),
    **dict.fromkeys(("auto_resume_from_checkpoints", "resume_from_checkpoint"), "nothing: run a killed stage again"),
    "lora_model_dir": "`start_from`: the merged weights of that stage",
    "strict": "nothing: every key is checked before Axolotl sees it",
    "save_safetensors": "nothing: always on",
    "merge_lora": "`export.merge`",
    "export": "the recipe's own section `export`, outside the training stages",
    "trust_remote_code": "nothing: always off",
    "comet_api_key": "the environment variable COMET_API_KEY: recipes are copied into outputs",
}
"""Axolotl keys that Stemma sets itself, and where to set what they mean."""

READS = {"base": "corpus", "sft": "sft", "dpo": "dpo", "mcq": "mcq"}
SCORES = {"generation": "sft", "preference": "dpo", "mcq": "mcq"}
"""Which data set a training stage and an evaluation task need."""

TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}


@cache
def pinned() -> dict[str, Any]:
    """The pinned Axolotl: its version, `axolotl`, and its keys, `fields`."""
    found: dict[str, Any] = json.loads(PINNED.read_text(encoding="utf-8"))
    return found


def axolotl_fields() -> dict[str, dict[str, list[Any]]]:
    """Every key of the pinned Axolotl: {name: {types: JSON types, values: literals it also takes}}; no types: any."""
    fields: dict[str, dict[str, list[Any]]] = pinned()["fields"]
    return fields


def nearest(name: str, known: Sequence[str]) -> str:
    """A did-you-mean hint, or nothing when no name is near."""
    from rapidfuzz import fuzz, process

    best = process.extractOne(name, known, scorer=fuzz.ratio, score_cutoff=70)  # of 100
    return f"did you mean `{best[0]}`?" if best else ""


def problems(values: dict[str, Any], where: Where, folder: Path) -> list[Problem]:
    """Everything wrong in the Axolotl sections and the files a raw recipe names (`folder`: where its paths start)."""
    found = list(_not_finite(values, (), where))
    sections = {name: values[name] for name in OWN_KEYS if isinstance(values.get(name), dict)}
    for name, section in sections.items():
        for key, value in section.items():
            found += _key_problems(name, str(key), value, where)
    if isinstance(deepspeed := sections.get("base", {}).get("deepspeed"), str):
        found += _deepspeed_problems(deepspeed, where(("base", "deepspeed")), folder)
    shared = sections.get("train", {})
    for stage in TRAINING:
        if stage in sections:
            origin = {**dict.fromkeys(shared, "train"), **dict.fromkeys(sections[stage], stage)}
            settings = shared | sections[stage]
            places = {key: where((origin[key], key)) for key in settings}
            found += _stage_problems(stage, settings, places | {"": where((stage,))}, folder)
            found += _dpo_problems(settings, places | {"": where((stage,))}) if stage == "dpo" else []
    found += [*_data_problems(values, where), *_sweep_problems(values, where)]
    if isinstance(values.get("chat_template"), str):
        found += _template_problems(folder / values["chat_template"], where(("chat_template",)))
    return found


def warnings(recipe: Recipe) -> list[str]:
    """What works but is rarely meant."""
    name = recipe.base_model
    loose = name and not recipe.base_revision and not recipe.is_base_local
    found = [f"`base_model: {name}` without `base_revision`: the weights may change on the hub"] if loose else []
    return found + [
        f"{stage}: `deepspeed: {recipe.axolotl(stage)['deepspeed']}`: ZeRO-3 gathers all weights in "
        "every pass, for models that do not fit; prefer deepspeed/zero1.json"
        for stage in recipe.training_stages()
        if zero_stage(recipe.path.parent / recipe.axolotl(stage)["deepspeed"]) == 3
    ]


def zero_stage(path: Path) -> int:
    return int(json.loads(path.read_text(encoding="utf-8"))["zero_optimization"]["stage"])


def _not_finite(value: Any, keys: Keys, where: Where) -> Iterator[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(where(keys), f"`{'.'.join(keys)}` is {value}", "a finite number")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _not_finite(inner, (*keys, str(key)), where)


def _key_problems(section: str, key: str, value: Any, where: Where) -> Iterator[Problem]:
    place = where((section, key))
    fields = axolotl_fields()
    if key in OWN_KEYS[section] or (section == "dpo" and key in LIES_UNDER_DPO):
        return  # pydantic's, or told with its reason by _dpo_problems
    if reason := refusal(key):
        yield Problem(place, f"`{key}` in {section}: {reason}", hint=f"delete `{key}`")
    elif key in OWNED:
        yield Problem(place, f"`{key}` in {section} is Stemma's to set", f"set instead: {OWNED[key]}")
    elif key in LIES_UNDER_DPO and key not in fields:
        yield Problem(place, f"`{key}` in {section}: {LIES_UNDER_DPO[key]}", hint=f"delete `{key}`")
    elif key not in fields:
        hint = nearest(key, [*fields, *OWN_KEYS[section]])
        yield Problem(place, f"unknown key `{key}` in {section}", "a key of Axolotl", hint)
    elif key == "rl" and section != "dpo":
        yield Problem(place, f"`rl` in {section}", "`rl: dpo` in the section `dpo` only", "move it there")
    elif key == "adapter" and section == "base":
        yield Problem(place, "`adapter` in base", "training of the whole model", "an adapter belongs into `train`")
    elif not _fits(value, fields[key]):
        yield Problem(place, f"`{section}.{key}` is {value!r}", _expected(fields[key]))
    elif expected := expected_of(key, value):
        yield Problem(place, f"`{section}.{key}` is {value}", expected)


def refusal(key: str) -> str | None:
    """Why no recipe may set an Axolotl key; None where one may."""
    return GONE.get(key) or next((reason for beginning, reason in REFUSED.items() if key.startswith(beginning)), None)


def _fits(value: Any, field: dict[str, list[Any]]) -> bool:
    if value is None or not (field["types"] or field["values"]) or value in field["values"]:
        return True
    if isinstance(value, bool):
        return "boolean" in field["types"]
    return any(isinstance(value, TYPES[name]) for name in field["types"])


def _expected(field: dict[str, list[Any]]) -> str:
    return " or ".join([*field["types"], *(repr(value) for value in field["values"])])


def _stage_problems(stage: str, settings: dict[str, Any], places: dict[str, str], folder: Path) -> Iterator[Problem]:
    """What every LoRA stage needs."""
    if (adapter := settings.get("adapter")) not in ("lora", "qlora"):
        place = places["adapter" if adapter else ""]
        yield Problem(place, f"{stage}: `adapter` is {adapter!r}", "lora or qlora", "set `train.adapter: lora`")
    for key, found, hint in setting_problems(settings):
        yield Problem(places[key], f"{stage}: {found}", hint=hint)
    deepspeed = settings.get("deepspeed")
    if isinstance(deepspeed, str):
        yield from _deepspeed_problems(deepspeed, places["deepspeed"], folder)
    else:
        place = places["deepspeed" if deepspeed else ""]
        hint = "set `train.deepspeed: deepspeed/zero1.json`"
        yield Problem(place, f"{stage}: no `deepspeed` file", "a DeepSpeed JSON file", hint)


def _deepspeed_problems(name: str, place: str, folder: Path) -> Iterator[Problem]:
    path = folder / name
    if not path.is_file():
        others = [str(other.relative_to(folder)) for other in sorted(path.parent.glob("*.json"))]
        yield Problem(place, f"no such file: {path}", "a file beside the recipe", nearest(name, others))
        return
    try:
        zero_stage(path)
    except (ValueError, KeyError, TypeError) as error:
        found = f"{path} is no DeepSpeed configuration: {error!r}"
        yield Problem(place, found, "JSON with zero_optimization.stage")


def _dpo_problems(settings: dict[str, Any], places: dict[str, str]) -> Iterator[Problem]:
    if (rl := settings.get("rl")) != "dpo":
        place = places["rl" if rl else ""]
        yield Problem(place, f"dpo: `rl` is {rl!r}", "`rl: dpo`", "other losses of the family are `dpo_loss_type`")
    losses = settings.get("dpo_loss_type") or ["sigmoid"]
    if settings.get("dpo_label_smoothing") and not SMOOTHED & set(losses):
        found = f"`dpo_label_smoothing` with the loss {' and '.join(map(str, losses))}, which does not heed it"
        yield Problem(places["dpo_label_smoothing"], found, f"`dpo_loss_type` of {', '.join(sorted(SMOOTHED))}")
    for key in settings.keys() & LIES_UNDER_DPO.keys():
        if settings[key]:
            hint = f"delete it; in `train` it also reaches `dpo`: move it to `sft` or `mcq`, or set `dpo.{key}: null`"
            yield Problem(places[key], f"`{key}` under `rl: dpo`: {LIES_UNDER_DPO[key]}", hint=hint)
    for key in settings.keys() & NEEDS_STOCK.keys() if settings.get("trainer") != "stock" else ():
        if settings[key]:
            found = f"`{key}` with Stemma's DPO trainer: {NEEDS_STOCK[key]}"
            yield Problem(places[key], found, hint=f"delete `{key}`, or set `dpo.trainer: stock`")


def _sweep_problems(values: dict[str, Any], where: Where) -> Iterator[Problem]:
    """Keys and values to try, as if they stood in the stage itself."""
    try:
        sweep = Sweep.model_validate(values.get("sweep"))
    except ValidationError:  # told by the recipe's own models
        return
    if values.get(sweep.stage) is None:
        yield Problem(where(("sweep", "stage")), f"`sweep.stage: {sweep.stage}`", "a training stage of this recipe")
    for key, value in sweep.settings():
        yield from _key_problems(sweep.stage, key, value, lambda keys: where(("sweep", "values", keys[1])))


def _data_problems(values: dict[str, Any], where: Where) -> Iterator[Problem]:
    """Stages and tasks whose data set is not built."""
    data = values.get("data")
    sets = {name for name, value in data.items() if value is not None} if isinstance(data, dict) else set()
    for stage, name in READS.items():
        if values.get(stage) is not None and name not in sets:
            yield Problem(where((stage,)), f"stage `{stage}` has no data", f"a data set `data.{name}`")
    section = values.get("eval")
    tasks = section.get("tasks") if isinstance(section, dict) else None
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        needed = SCORES.get(str(task.get("task"))) if isinstance(task, dict) else None
        if needed and needed not in sets:
            place = where(("eval", "tasks", index))
            yield Problem(place, f"task `{task['task']}` has no data", f"a data set `data.{needed}`")


def _template_problems(path: Path, place: str) -> Iterator[Problem]:
    from jinja2 import TemplateError

    from stemma.chat_jinja import DatedTemplate, unequal_names
    from stemma.templates import Template, probe

    example = "see recipes/templates/qa.jinja"
    try:
        template = Template.read(path)
        if not template.stop():
            yield Problem(place, f"{path} writes no stop token behind an answer", "e.g. eos_token", example)
        if unequal := unequal_names(template.text):
            found = f"{path} writes `{'`, `'.join(unequal)}`, which transformers fills in and llama.cpp does not"
            yield Problem(place, found, "bos_token and eos_token only", "write the token itself")
        probe(template)
    except DatedTemplate as error:
        hint = "fix the date in its first line, e.g. {% set date_string = '26 Jul 2024' %}, or take strftime_now out"
        yield Problem(place, f"{path}: {error}", "the same text every day", hint)
    except UserError:
        known = [f"templates/{other.name}" for other in sorted(path.parent.glob("*.jinja"))]
        hint = nearest(f"templates/{path.name}", known)
        yield Problem(place, f"no such chat template: {path}", "a Jinja file beside the recipe", hint)
    except (TemplateError, ValueError, IndexError, TypeError) as error:
        yield Problem(place, f"{path} does not render: {error}", "a Jinja chat template", example)
