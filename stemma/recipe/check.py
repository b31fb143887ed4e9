"""Check of a recipe beyond its models: Axolotl's keys, settings that do nothing or break, files.

Axolotl accepts settings that it then ignores, which costs a day of training. They are refused here,
with reasons. Reads the templates and DeepSpeed files that the recipe names, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stemma.errors import Problem, nearest
from stemma.plain_files import not_plain
from stemma.recipe.axolotl_keys import OWN_KEYS, Keys, Where, key_problems, unknown_modules
from stemma.recipe.folders import is_possible
from stemma.recipe.models import TRAINING, Recipe
from stemma.recipe.plain_yaml import readable
from stemma.recipe.ranges import either_problems
from stemma.recipe.sections import AXOLOTL_DEFAULTS, Sweep
from stemma.recipe.unheeded import LIES_UNDER_DPO, NEEDS_STOCK, SMOOTHED
from stemma.recipe.zero_files import deepspeed_problems, zero_stage
from stemma.targets import LINEARS, setting_problems

RISING = (
    "its learning rate is still rising when it ends; hint: `warmup_ratio: 0.03` fits any length"
)
READS = {"base": "corpus", "sft": "sft", "dpo": "dpo", "mcq": "mcq"}
SCORES = {"generation": "sft", "preference": "dpo", "mcq": "mcq", "divergence": "dpo"}
"""The data set that a training stage and an evaluation task need."""


def problems(values: dict[str, Any], where: Where, folder: Path) -> list[Problem]:
    """Everything wrong with the values of a recipe file that its models do not see.

    `where` gives the place of a key as `file:line`; relative paths in the recipe start at `folder`.
    """
    found = list(_not_finite(values, (), where))
    sections = {name: values[name] for name in OWN_KEYS if isinstance(values.get(name), dict)}
    for name, section in sections.items():
        for key, value in section.items():
            found += key_problems(name, str(key), value, where)
    if "base" in sections:
        found += _base_problems(sections["base"], where, folder)
    shared = sections.get("train", {})
    stages = {
        name: _stage_of(shared, sections[name], name, where)
        for name in TRAINING
        if name in sections
    }
    for stage in stages.values():
        found += _stage_problems(stage, folder)
    found += [*_data_problems(values, where), *_sweep_problems(values, stages, where, folder)]
    template = values.get("chat_template")
    if isinstance(template, str) and is_possible(template):
        found += _template_problems(folder / template, where(("chat_template",)))
    return found


def unpinned(recipe: Recipe) -> list[str]:
    """The models of the hub whose weights may change there, a sentence each."""
    found = []
    changes = "the weights may change on the hub"
    if recipe.base_model and not recipe.base_revision and not recipe.is_base_local:
        found.append(f"`base_model: {recipe.base_model}` without `base_revision`: {changes}")
    encoder = recipe.rag.encoder if recipe.rag else None
    for one in (encoder, encoder.rerank if encoder else None):
        if one and one.is_of_hub and not one.revision:
            found.append(f"`rag.encoder`: `{one.name}` without `revision`: {changes}")
    return found


def warnings(recipe: Recipe) -> list[str]:
    """Settings that work but are rarely meant, a sentence each."""
    found = []
    if recipe.allow_insecure:
        found.append("`allow_insecure: true`: prompts and keys may travel unencrypted")
    if recipe.allow_private:
        found.append("`allow_private: true`: addresses may lead to this machine's own secrets")
    for stage in recipe.training_stages():
        deepspeed = recipe.axolotl(stage)["deepspeed"]
        if zero_stage(recipe.path.parent / deepspeed) == 3:
            found.append(
                f"{stage}: `deepspeed: {deepspeed}`: ZeRO-3 gathers all weights in every pass, for "
                "models that do not fit; prefer deepspeed/zero1.json"
            )
    found += _step_warnings(recipe)
    raft = recipe.data.sft.raft if recipe.data.sft else None
    if raft and recipe.rag and raft.prompt != recipe.rag.context.prompt:
        found.append(
            f"`data.sft.raft.prompt: {raft.prompt}`, but `rag.context.prompt: "
            f"{recipe.rag.context.prompt}`: it is trained with other words than it is asked with"
        )
    return found


def _step_warnings(recipe: Recipe) -> Iterator[str]:
    """Of stages whose recipe says how many steps they have, or that all of them warm up."""
    for stage in [*(["base"] if recipe.base else []), *recipe.training_stages()]:
        keys = recipe.training_settings(stage)
        if keys.get("warmup_ratio") == 1:
            yield f"{stage}: `warmup_ratio: 1`: {RISING}"
        if (steps := keys.get("max_steps")) and (told := warmup_warning(stage, keys, steps)):
            yield told


def warmup_warning(stage: str, keys: Mapping[str, Any], steps: int) -> str:
    """A sentence where so many steps end within the warm-up; else nothing."""
    warmup = keys.get("warmup_steps") or 0
    if not warmup or steps > warmup:
        return ""
    return f"{stage}: {steps:,} steps in all, and `warmup_steps: {warmup}`: {RISING}"


def _not_finite(value: Any, keys: Keys, where: Where) -> Iterator[Problem]:
    if isinstance(value, float) and not math.isfinite(value):
        yield Problem(where(keys), f"`{'.'.join(keys)}` is {value}", "a finite number")
    items: Iterable[tuple[object, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield from _not_finite(inner, (*keys, str(key)), where)


@dataclass(frozen=True)
class _Stage:
    """The settings of a LoRA stage, `train`'s among them, and where each of them stands."""

    name: str
    settings: dict[str, Any]
    places: dict[str, str]
    """Under the empty key: where the stage stands."""


def _stage_of(shared: dict[str, Any], own: dict[str, Any], name: str, where: Where) -> _Stage:
    origin = {**dict.fromkeys(shared, "train"), **dict.fromkeys(own, name)}
    places = {key: where((section, key)) for key, section in origin.items()}
    return _Stage(name, shared | own, {**places, "": where((name,))})


def _base_problems(own: dict[str, Any], where: Where, folder: Path) -> Iterator[Problem]:
    """Everything wrong with the settings of a model made on the spot taken together."""
    if isinstance(deepspeed := own.get("deepspeed"), str):
        yield from deepspeed_problems(deepspeed, where(("base", "deepspeed")), folder)
    for key, found, hint in either_problems(AXOLOTL_DEFAULTS | own):
        yield Problem(where(("base", key)), f"base: {found}", hint=hint)


def _stage_problems(stage: _Stage, folder: Path) -> Iterator[Problem]:
    """Everything wrong with the settings of a LoRA stage taken together."""
    for key, found, hint in either_problems(AXOLOTL_DEFAULTS | stage.settings):
        yield Problem(stage.places[key], f"{stage.name}: {found}", hint=hint)
    yield from _lora_problems(stage.name, stage.settings, stage.places, folder)
    if stage.name == "dpo":
        yield from _dpo_problems(stage.settings, stage.places)


def _lora_problems(
    stage: str, settings: dict[str, Any], places: dict[str, str], folder: Path
) -> Iterator[Problem]:
    """Settings that every LoRA stage needs and this one lacks."""
    if (adapter := settings.get("adapter")) not in ("lora", "qlora"):
        place = places["adapter" if adapter else ""]
        hint = "set `train.adapter: lora`"
        yield Problem(place, f"{stage}: `adapter` is {adapter!r}", "lora or qlora", hint)
    if settings.get("lora_target_modules") == []:
        expected = "names of modules, e.g. [q_proj, v_proj]"
        found = f"{stage}: `lora_target_modules` is empty"
        yield Problem(places["lora_target_modules"], found, expected)
    for key in ("lora_target_modules", "lora_modules_to_save"):
        for name in unknown_modules(settings.get(key)):
            hint = nearest(name, LINEARS)
            found = f"`{key}`: no model has a module `{readable(name)}`"
            yield Problem(places[key], found, f"some of {', '.join(LINEARS)}", hint)
    for key, found, hint in setting_problems(settings):
        yield Problem(places[key], f"{stage}: {found}", hint=hint)
    deepspeed = settings.get("deepspeed")
    if isinstance(deepspeed, str):
        yield from deepspeed_problems(deepspeed, places["deepspeed"], folder)
    elif deepspeed is None:
        place = places[""]
        hint = "set `train.deepspeed: deepspeed/zero1.json`"
        yield Problem(place, f"{stage}: no `deepspeed` file", "a DeepSpeed JSON file", hint)


def _dpo_problems(settings: dict[str, Any], places: dict[str, str]) -> Iterator[Problem]:
    if (rl := settings.get("rl")) != "dpo":
        place = places["rl" if rl else ""]
        hint = "other losses of the family are `dpo_loss_type`"
        yield Problem(place, f"dpo: `rl` is {rl!r}", "`rl: dpo`", hint)
    losses = settings.get("dpo_loss_type") or ["sigmoid"]
    if settings.get("dpo_label_smoothing") and not SMOOTHED & set(losses):
        named = " and ".join(map(str, losses))
        found = f"`dpo_label_smoothing` with the loss {named}, which does not heed it"
        expected = f"`dpo_loss_type` of {', '.join(sorted(SMOOTHED))}"
        yield Problem(places["dpo_label_smoothing"], found, expected)
    for key in settings.keys() & LIES_UNDER_DPO.keys():
        if settings[key]:
            hint = (
                "delete it; in `train` it also reaches `dpo`: move it to `sft` or `mcq`, or set "
                f"`dpo.{key}: null`"
            )
            yield Problem(places[key], f"`{key}` under `rl: dpo`: {LIES_UNDER_DPO[key]}", hint=hint)
    if settings.get("trainer") == "stock":
        return
    for key in settings.keys() & NEEDS_STOCK.keys():
        if settings[key]:
            found = f"`{key}` with Stemma's DPO trainer: {NEEDS_STOCK[key]}"
            yield Problem(places[key], found, hint=f"delete `{key}`, or set `dpo.trainer: stock`")


def _sweep_problems(
    values: dict[str, Any], stages: dict[str, _Stage], where: Where, folder: Path
) -> Iterator[Problem]:
    """Everything wrong with keys and values to try, as if they stood in the stage itself."""
    try:
        sweep = Sweep.model_validate(values.get("sweep"))
    except ValidationError:  # told by the recipe's own models
        return
    if values.get(sweep.stage) is None:
        found = f"`sweep.stage: {sweep.stage}`"
        yield Problem(where(("sweep", "stage")), found, "a training stage of this recipe")

    def where_tried(keys: Sequence[object]) -> str:
        return where(("sweep", "values", keys[1]))

    for key, value in sweep.settings():
        yield from key_problems(sweep.stage, key, value, where_tried)
    if stage := stages.get(sweep.stage):
        for combination in sweep.combinations():
            tried = {key: where(("sweep", "values", key)) for key in combination}
            together = replace(
                stage, settings=stage.settings | combination, places=stage.places | tried
            )
            # What is wrong without the sweep is told where it stands.
            told = _stage_problems(together, folder)
            yield from (problem for problem in told if problem.where in tried.values())


def _data_problems(values: dict[str, Any], where: Where) -> Iterator[Problem]:
    """Stages and tasks whose data set is not built, and tasks that are given again."""
    data = values.get("data")
    sets = set()
    if isinstance(data, dict):
        sets = {name for name, value in data.items() if value is not None}
    for stage, name in READS.items():
        if values.get(stage) is not None and name not in sets:
            found = f"stage `{stage}` has no data"
            yield Problem(where((stage,)), found, f"a data set `data.{name}`")
    section = values.get("eval")
    tasks = section.get("tasks") if isinstance(section, dict) else None
    seen = set()
    for index, task in enumerate(tasks if isinstance(tasks, list) else []):
        asked = task.get("task") if isinstance(task, dict) else None
        if not isinstance(asked, str):
            continue
        place = where(("eval", "tasks", index))
        needed = SCORES.get(asked)
        if needed and needed not in sets:
            yield Problem(place, f"task `{asked}` has no data", f"a data set `data.{needed}`")
        if asked in seen:
            yield Problem(place, f"task `{asked}` stands here again", "each task once")
        seen.add(asked)


def _template_problems(path: Path, place: str) -> Iterator[Problem]:
    from stemma.chat_jinja import DatedTemplate, unequal_names
    from stemma.metered_jinja import TemplateFault
    from stemma.templates import Template, probe

    if lacks := not_plain(path):
        known = [f"templates/{other.name}" for other in sorted(path.parent.glob("*.jinja"))]
        hint = nearest(f"templates/{path.name}", known)
        found = f"{lacks.replace('no such file', 'no such chat template')}: {path}"
        yield Problem(place, found, "a Jinja file beside the recipe", hint)
        return
    example = "see recipes/templates/qa.jinja"
    try:
        template = Template.read(path)
        if not template.stop():
            found = f"{path} writes no stop token behind an answer"
            yield Problem(place, found, "e.g. eos_token", example)
        if unequal := unequal_names(template.text):
            names = "`, `".join(unequal)
            found = f"{path} writes `{names}`, which transformers fills in and llama.cpp does not"
            yield Problem(place, found, "bos_token and eos_token only", "write the token itself")
        probe(template)
    except DatedTemplate as error:
        yield Problem(place, f"{path}: {error.reason}", error.expected, error.hint)
    except TemplateFault as error:
        found = f"{error.where} does not render: {error.reason}"
        yield Problem(place, found, error.expected, example)
