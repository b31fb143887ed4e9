"""The changes that make a recipe a rehearsal: few rows and steps, a made model, no network. Pure.

Everything else stays the recipe's: its stages and their order, adapter, optimizer, formats,
variants and tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemma.recipe.data import DataSet, SourceOptions
from stemma.recipe.models import Recipe
from stemma.rehearsal.evaluation import SCRIPTED_EXPERT, judge_on_loopback, shorten_benchmarks

STEPS = 3
"""Optimizer steps of a training."""
RATE = 1e-3
"""The learning rate of a preference training's adapter, at least.

At its own, three steps move a random model less than storing it in bfloat16 does, and the merge
gate rightly says that nothing is left of them. SFT needs no more than its own, and at this rate
learns in three steps that every answer ends.
"""
BASE_STEPS = 40
"""Steps of a model made on the spot.

Fewer would leave its predictions as good as even, and no format could be judged.
"""
SAVE_STEPS = 2
LENGTH = 256
"""Tokens a sequence: longer rows are left out and counted, as in the full run."""
READ = 40
"""Rows read of a source."""
DRAWN = {"train": 8, "validation": 2, "test": 4}
"""Rows drawn of a source, by split."""
SYNTHETIC = {"train": 24, "validation": 4, "test": 8}
"""Rows drawn of made exercises, by split."""
PARTS = {"validation": 0.2, "test": 0.3}
"""The shares of validation and test."""
CORPUS = 1000
"""Rows of a corpus to pretrain on."""
PROMPTS = 4
"""Conversations that the export's gates compare."""
SCORED = {"limit": 4, "max_new_tokens": 8, "prompt_tokens": 32}
"""Settings of an evaluation task, at most."""
PACKED_LENGTH = 128
"""Tokens of a packed sequence, so that a handful of rows fills those of a step."""
SCHEDULE = (
    "warmup_ratio",
    "saves_per_epoch",
    "evals_per_epoch",
    "save_strategy",
    "eval_strategy",
    "eval_steps",
    "early_stopping_patience",
)
"""Keys that would contradict the few steps."""


@dataclass(frozen=True)
class Machine:
    """The machine, as far as it decides how a recipe can be rehearsed."""

    memory: int
    """Bytes that are free."""
    disk: int
    """Bytes that are free."""
    bfloat16: bool
    """Whether the processor computes in it."""
    gpu: bool


@dataclass
class Changes:
    """Overrides as the command line would give them, and what a reader must know of them."""

    overrides: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    """The made model, which also takes the place of a base model that the user has set."""

    def set(self, key: str, value: Any) -> None:
        self.overrides.append(f"{key}={json.dumps(value)}")

    def around(self, given: Sequence[str]) -> list[str]:
        """All overrides, with the user's own among them.

        Those beat the rehearsal's, but for the model.
        """
        return [*self.overrides, *given, *self.made]


def shorten(recipe: Recipe, machine: Machine, model: Path | None, layers: int | None) -> Changes:
    """The changes that make a rehearsal of `recipe`.

    `model` takes the place of the base model; None where the recipe makes its own. `layers`: how
    many of its layers; None: all.
    """
    changes = Changes()
    if model is not None:
        changes.made = [f"base_model={json.dumps(str(model))}", "base_revision=null"]
    elif layers:
        changes.set("base.model.num_hidden_layers", layers)
    _shorten_data(recipe, changes)
    for stage in [*(["base"] if recipe.base else []), *recipe.training_stages()]:
        _shorten_stage(recipe, stage, machine, changes)
    changes.set("export.gates.prompts", min(PROMPTS, recipe.export.gates.prompts))
    tasks = [task.model_dump(mode="json", exclude_none=True) for task in recipe.eval.tasks]
    changes.set("eval.tasks", [_smaller(task, SCORED) for task in tasks])
    local = recipe.eval.local
    if local and local != recipe.eval.variants:
        changes.set("eval.variants", local)
        changes.notes.append("no server is asked: variants of `eval.servers` are left out")
    judge_on_loopback(recipe, changes, SCORED["limit"])
    shorten_benchmarks(recipe, changes, SCORED["limit"])
    rows = f"{SCORED['limit']} rows a task"
    changes.notes.append(f"evaluation: {rows}; gates: {PROMPTS} conversations")
    return changes


def lacking(recipe: Recipe, environment: Mapping[str, str], has_weights: bool) -> list[str]:
    """What the full run needs and this machine does not have: a rehearsal does without."""
    found = []
    files = recipe.data.files(recipe.path.parent)
    absent = sorted({str(path) for path in files.values() if not path.is_file()})
    if absent:
        found.append(f"{len(absent)} data files, the first {absent[0]} (DATA=folder)")
    section = recipe.eval
    for variant, server in section.servers.items():
        if variant in section.variants and server.api_key_env not in environment:
            found.append(f"the variable {server.api_key_env}, the key of server {variant}")
    judges = [("judge", judging.generator) for judging in section.judge]
    for name, generator in [("generator", recipe.data.generator), *judges]:
        if generator is not None and generator.server == "openai" and generator.base_url is None:
            key = generator.api_key_env
            if key not in environment:
                found.append(f"the variable {key}, the {name}'s key")
    if not has_weights:
        how = "`hf download`; of a gated model accept the licence first, then `hf auth login`"
        found.append(f"the weights of {recipe.base_model} ({how})")
    return found


def _smaller(task: Mapping[str, Any], most: Mapping[str, int]) -> dict[str, Any]:
    """The task with each figure at most so large; a limit is set where it has none."""
    known = {key: value for key, value in most.items() if key in task or key == "limit"}
    if task.get("generate") is False:  # no reply is written
        known.pop("max_new_tokens", None)
    return {**task, **{key: min(task.get(key, value), value) for key, value in known.items()}}


def _shorten_data(recipe: Recipe, changes: Changes) -> None:
    data = recipe.data
    root = Path(data.root)
    for name, dataset in data.sets().items():
        _shorten_set(name, dataset, root, changes)
    if data.generator is not None and data.generator.server != "scripted-expert":
        changes.set("data.generator", SCRIPTED_EXPERT)
        expert = "the generator is the scripted expert on loopback"
        changes.notes.append(f"{expert}: nothing is asked of a paid server")
    if data.frozen_test and not (root / data.frozen_test).is_file():
        changes.set("data.frozen_test", None)
        changes.notes.append(f"no {data.frozen_test}: no question is frozen in test")
    if data.decontaminate is not None:
        against = data.decontaminate.against
        there = [_read_less(source) for source in against if _is_there(source, root)]
        changes.set("data.decontaminate.against", there)
        changes.set("data.decontaminate.mode", "drop")
        changes.set("data.decontaminate.coverage", 1.0)
        absent = len(against) - len(there)
        if absent:
            left_out = f"{absent} benchmark(s) left out, their files are not there"
            changes.notes.append(f"decontamination: {left_out}")


def _shorten_set(name: str, dataset: DataSet, root: Path, changes: Changes) -> None:
    there = [source for source in dataset.sources if _is_there(source, root)]
    sources = [_corpus(source) if name == "corpus" else _read_less(source) for source in there]
    absent = [source for source in dataset.sources if source not in there]
    if absent:
        exercises: dict[str, Any] = {"source": "stem_exercises"}
        if name != "corpus":
            exercises["sample"] = SYNTHETIC
        sources.append(exercises)
        what = ", ".join(dict.fromkeys(source.source for source in absent))
        replaced = f"in place of {what}, whose files are not there"
        changes.notes.append(f"data.{name}: synthetic exercises {replaced}")
    changes.set(f"data.{name}.sources", sources)
    changes.set(f"data.{name}.total", None)
    if name != "corpus":
        changes.set(f"data.{name}.parts", PARTS)


def _is_there(source: SourceOptions, root: Path) -> bool:
    """Whether it can be read without a network: a hub's data set has no file here."""
    files = source.files(root)
    if not files:
        return getattr(source, "hub", None) is None
    return all(path.is_file() for path in files)


def _options(source: SourceOptions) -> dict[str, Any]:
    """The source as the recipe wrote it, without a share of a `total` that no longer holds."""
    return source.model_dump(mode="json", exclude_unset=True, exclude={"weight"})


def _read_less(source: SourceOptions) -> dict[str, Any]:
    """The source with at most READ rows, a few of them in each split.

    Exercises are drawn from all: the first are alike.
    """
    if source.source == "stem_exercises":
        return {**_options(source), "sample": SYNTHETIC}
    return {**_options(source), "limit": min(READ, source.limit or READ), "sample": DRAWN}


def _corpus(source: SourceOptions) -> dict[str, Any]:
    """The source with at most CORPUS rows."""
    return {**_options(source), "limit": min(CORPUS, source.limit or CORPUS)}


def _shorten_stage(recipe: Recipe, stage: str, machine: Machine, changes: Changes) -> None:
    keys = recipe.training_settings(stage)
    is_base = stage == "base"
    wanted: dict[str, Any] = {
        "max_steps": BASE_STEPS if is_base else STEPS,
        "warmup_steps": 0,
        "save_steps": BASE_STEPS // 2 if is_base else SAVE_STEPS,
        "logging_steps": 1,
    }
    wanted |= {key: None for key in SCHEDULE if keys.get(key) is not None}
    if not is_base:
        wanted |= _smaller_steps(keys)
    if not machine.gpu:
        wanted |= _without_gpu(keys, machine)
    for key, value in wanted.items():
        changes.set(f"{stage}.{key}", value)
    changes.notes.append(_told(stage, keys, wanted))


def _smaller_steps(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of steps that a handful of rows can fill, and that move something.

    Packed, a step takes dozens of rows.
    """
    is_packed = bool(keys.get("sample_packing"))
    smaller = {
        "sequence_len": min(keys["sequence_len"], PACKED_LENGTH if is_packed else LENGTH),
        "gradient_accumulation_steps": min(keys["gradient_accumulation_steps"], 2),
    }
    if is_packed:
        smaller["micro_batch_size"] = 1
    if keys.get("adapter") and keys.get("rl"):
        smaller["learning_rate"] = max(float(keys["learning_rate"]), RATE)
    return smaller


def _without_gpu(keys: Mapping[str, Any], machine: Machine) -> dict[str, Any]:
    """The settings that only a GPU can do, replaced by what a processor can."""
    off: dict[str, Any] = {}
    for key, value in keys.items():
        if value and (key.startswith("liger_") or key == "tf32"):
            off[key] = False
    if keys.get("fp16") or (keys.get("bf16") is True and not machine.bfloat16):
        off |= {"bf16": "auto", "fp16": False}
    if str(keys.get("attn_implementation", "")).startswith("flash"):
        off["attn_implementation"] = "sdpa"
    if "8bit" in str(keys.get("optimizer", "")):
        off["optimizer"] = "adamw_torch"
    return off


def _told(stage: str, keys: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """A line that says what of a stage is not as the recipe has it."""
    quiet = {"max_steps", "warmup_steps", "save_steps", "logging_steps", *SCHEDULE}
    told = [f"{stage}: {wanted['max_steps']} steps"]
    changed = [
        f"{key} {keys.get(key, 'unset')} → {value}"
        for key, value in wanted.items()
        if key not in quiet and keys.get(key) != value
    ]
    if changed:
        told.append(", ".join(changed))
    return "; ".join(told)
