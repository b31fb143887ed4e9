"""Axolotl's keys in a recipe: those of the pinned version, and those that Stemma sets. Pure.

Axolotl drops unknown keys silently, which costs a day of training. So its list of keys is pinned in
`axolotl_fields.json` (`stemma.recipe.schema` writes it), and every other key is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stemma.errors import Problem, brief, nearest
from stemma.recipe.models import TRAINING
from stemma.recipe.ranges import expected_of, name_hint
from stemma.recipe.sections import AnswerStage, BaseModelSection, PreferenceStage
from stemma.recipe.unheeded import GONE, LIES_UNDER_DPO, REFUSED
from stemma.shapes import NORMS
from stemma.targets import LINEARS

Keys = tuple[str, ...]
Where = Callable[[Sequence[object]], str]

PINNED = Path(__file__).parent / "axolotl_fields.json"

OWN_KEYS: dict[str, tuple[str, ...]] = {
    "train": (),
    "base": tuple(BaseModelSection.model_fields),
    **dict.fromkeys(TRAINING, tuple(AnswerStage.model_fields)),
    "dpo": tuple(PreferenceStage.model_fields),
}
"""Stemma's own keys in the sections whose other keys are Axolotl's."""

OWNED = {
    "base_model": "`start_from` in the stage; the model itself is the recipe's `base_model`",
    "base_model_config": "the recipe's `base_model`",
    "tokenizer_config": "the recipe's `base_model` (its tokenizer is used throughout)",
    "revision_of_model": "the recipe's `base_revision`",
    "datasets": "`data`",
    "test_datasets": "`data` (the validation splits)",
    "pretraining_dataset": "`data.corpus`",
    "val_set_size": "`data.<set>.parts.validation`",
    "output_dir": "nothing: a stage writes to runs/<recipe>/<stage> (`--runs` moves `runs`)",
    "dataset_prepared_path": (
        "nothing: it is named by content, as Axolotl trains on stale data otherwise"
    ),
    "seed": "the recipe's `seed`",
    "plugins": "nothing: Stemma's plugin guards the run",
    **dict.fromkeys(
        ("chat_template", "chat_template_jinja", "eot_tokens"), "the recipe's `chat_template`"
    ),
    "special_tokens": (
        "the recipe's `chat_template` (the stop token is what it ends an answer with)"
    ),
    **dict.fromkeys(
        ("tokens", "added_tokens_overrides"), "nothing: the base model's tokenizer is kept as it is"
    ),
    **dict.fromkeys(
        ("auto_resume_from_checkpoints", "resume_from_checkpoint"),
        "nothing: run a killed stage again",
    ),
    "lora_model_dir": "`start_from`: the merged weights of that stage",
    "strict": "nothing: every key is checked before Axolotl sees it",
    "save_safetensors": "nothing: always on",
    "merge_lora": "`export.merge`",
    "export": "the recipe's own section `export`, outside the training stages",
    "trust_remote_code": "nothing: always off",
    **dict.fromkeys(
        ("local_rank", "world_size", "ddp"), "nothing: the launcher gives each process its own"
    ),
    **dict.fromkeys(
        ("device", "device_map"), "nothing: each process trains on the device it is given"
    ),
    **dict.fromkeys(
        ("hub_model_id", "hub_revision", "hub_strategy", "push_dataset_to_hub"),
        "nothing: a recipe publishes nothing; push what you have looked at, e.g. by `hf upload`",
    ),
    "hf_use_auth_token": "the environment variable HF_TOKEN",
    "batch_size": "`micro_batch_size` and `gradient_accumulation_steps`",
    **dict.fromkeys(
        ("dataset_shard_idx", "dataset_shard_num"),
        "`sample` or `limit` of a source: rows left out are counted there",
    ),
    **dict.fromkeys(
        (
            "axolotl_config_path",
            "is_falcon_derived_model",
            "is_llama_derived_model",
            "is_mistral_derived_model",
            "is_preprocess",
            "is_qwen_derived_model",
            "total_num_tokens",
            "total_supervised_tokens",
        ),
        "nothing: Axolotl finds it out itself",
    ),
    "comet_api_key": "the environment variable COMET_API_KEY: recipes are copied into outputs",
}
"""Axolotl keys that Stemma sets itself, and where to set what they mean."""

OTHER_MODULES = (
    "dense",
    "dense_4h_to_h",
    "dense_h_to_4h",
    "embed_tokens",
    "gate_up_proj",
    "k_norm",
    "lm_head",
    "norm",
    "out_proj",
    "q_norm",
    "w1",
    "w2",
    "w3",
)
"""Modules of transformers' decoders beside those that `stemma/shapes.py` and PEFT's table name."""

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


def axolotl_fields() -> dict[str, dict[str, Any]]:
    """Every key of the pinned Axolotl: {name: {types: JSON types, values: literals it also takes}}.

    A key without types takes its values only, or any. Some have `bounds` for numbers.
    """
    fields: dict[str, dict[str, Any]] = pinned()["fields"]
    return fields


def key_problems(section: str, key: str, value: Any, where: Where) -> Iterator[Problem]:
    """Everything wrong with one key of the section `train`, `base`, `sft`, `dpo` or `mcq`."""
    place = where((section, key))
    fields = axolotl_fields()
    if key in OWN_KEYS[section] or (section == "dpo" and key in LIES_UNDER_DPO):
        return  # checked by pydantic, or by check.py with its reason
    if reason := refusal(key):
        yield Problem(place, f"`{key}` in {section}: {reason}", hint=f"delete `{key}`")
    elif key in OWNED:
        found = f"`{key}` in {section} is Stemma's to set"
        yield Problem(place, found, f"set instead: {OWNED[key]}")
    elif key in LIES_UNDER_DPO and key not in fields:
        yield Problem(place, f"`{key}` in {section}: {LIES_UNDER_DPO[key]}", hint=f"delete `{key}`")
    elif key not in fields:
        hint = nearest(key, [*fields, *OWN_KEYS[section]])
        yield Problem(place, f"unknown key `{key}` in {section}", "a key of Axolotl", hint)
    elif key == "rl" and section != "dpo":
        expected = "`rl: dpo` in the section `dpo` only"
        yield Problem(place, f"`rl` in {section}", expected, "move it there")
    elif key == "adapter" and section == "base":
        hint = "an adapter belongs into `train`"
        yield Problem(place, "`adapter` in base", "training of the whole model", hint)
    elif not _fits(value, fields[key]):
        found = f"`{section}.{key}` is {brief(value)}"
        hint = name_hint(value, fields[key]["values"])
        yield Problem(place, found, _expected(fields[key]), hint)
    elif in_range := expected_of(key, value, fields[key].get("bounds")):
        yield Problem(place, f"`{section}.{key}` is {brief(value)}", in_range)


def unknown_modules(names: Any) -> list[str]:
    """Those of the named modules that no decoder has, whichever it is; PEFT would say so when the
    model is loaded, or pass over them."""
    known = {*pinned()["modules"], *LINEARS, *NORMS, *OTHER_MODULES}
    # A text is a regular expression, and a mere word one that fits this module alone.
    is_word = isinstance(names, str) and names.isidentifier()
    listed = [names] if is_word else names if isinstance(names, list) else []
    texts = [name for name in listed if isinstance(name, str)]
    return [name for name in texts if name.rpartition(".")[2] not in known]


def refusal(key: str) -> str | None:
    """The reason that no recipe may set an Axolotl key; None where one may."""
    if key in GONE:
        return GONE[key]
    refused = (reason for beginning, reason in REFUSED.items() if key.startswith(beginning))
    return next(refused, None)


def _fits(value: Any, field: dict[str, Any]) -> bool:
    if value is None or not (field["types"] or field["values"]) or value in field["values"]:
        return True
    if isinstance(value, bool):
        return "boolean" in field["types"]
    return any(isinstance(value, TYPES[name]) for name in field["types"])


def _expected(field: dict[str, Any]) -> str:
    if not field["types"]:
        return f"one of: {', '.join(map(str, field['values']))}"
    return " or ".join([*field["types"], *(repr(value) for value in field["values"])])
