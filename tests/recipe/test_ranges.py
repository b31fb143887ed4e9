from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from stemma.errors import UserError
from stemma.processes import child_environment, run_program
from stemma.recipe.axolotl_keys import OWNED, axolotl_fields, refusal
from stemma.recipe.load import load
from stemma.recipe.ranges import EITHER, LOSSES, RANGES, either_problems, expected_of
from tests.conftest import Write


def package(name: str) -> Path:
    spec = find_spec(name)
    assert spec
    assert spec.origin
    return Path(spec.origin).parent


def refused(*overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load("small", overrides)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("lora_r", 0, "at least 1 and at most 65,536"),
        ("lora_r", -4, "at least 1 and at most 65,536"),
        ("micro_batch_size", -3, "at least 1 and at most 65,536"),
        ("sequence_len", 1, "at least 16 and at most 10,000,000"),
        ("learning_rate", 0.0, "above 0 and at most 1e+38"),
        ("learning_rate", 10**400, "above 0 and at most 1e+38"),
        ("num_epochs", -1, "above 0 and at most 100,000"),
        ("lora_dropout", 1.0, "at least 0 and below 1"),
        ("lora_dropout", 2.0, "at least 0 and below 1"),
        ("warmup_steps", -1, "at least 0 and at most 1,000,000,000"),
        ("weight_decay", -0.1, "at least 0 and at most 10"),
        ("max_steps", 0, "at least 1 and at most 1,000,000,000"),
        ("save_steps", 2.5, "a whole number of steps, or a part of the run below 1"),
        ("save_steps", 0.25, ""),
        ("dpo_label_smoothing", 0.5, "at least 0 and below 0.5"),
        ("dpo_loss_weights", [1, -1], "numbers at least 0 and at most 1,000,000,000"),
        ("dpo_loss_weights", [1, 0.5], ""),
        ("dpo_loss_type", ["sigmoid", "sft"], ""),
        ("peft_layers_to_transform", [-1], "numbers at least 0 and at most 10,000"),
        ("lora_rank_pattern", {"q_proj": 0}, "numbers at least 1 and at most 65,536"),
        ("warmup_ratio", 1.5, "at least 0 and at most 1"),
        ("lora_r", 1, ""),
        ("num_epochs", 0.5, ""),
        ("warmup_ratio", 1, ""),
        ("learning_rate", None, ""),
        ("max_grad_norm", True, ""),
        ("unheard_of", -1, ""),
    ],
)
def test_what_a_number_must_be(key: str, value: float | None, expected: str) -> None:
    assert expected_of(key, value) == expected


def test_losses_have_names() -> None:
    assert expected_of("dpo_loss_type", ["nope"]).startswith("some of aot, aot_unpaired, ")
    text = (package("trl") / "trainer/dpo_trainer.py").read_text(encoding="utf-8")
    assert set(re.findall(r'if loss_type == "(\w+)":', text)) == set(LOSSES)


def test_bounds_of_axolotl_itself_go_before_the_table() -> None:
    assert expected_of("unheard_of", 2, {"ge": 0, "le": 1}) == "at least 0 and at most 1"
    assert expected_of("lora_dropout", 0.5, {"le": 0.1}) == "at least 0 and below 1 and at most 0.1"
    assert axolotl_fields()["neftune_noise_alpha"]["bounds"] == {"gt": 0}
    assert axolotl_fields()["relora_prune_ratio"]["bounds"] == {"ge": 0, "le": 1}


def test_every_number_that_a_recipe_may_set_has_a_range() -> None:
    fields = axolotl_fields()
    free = [name for name in fields if name not in OWNED and not refusal(name)]
    numbers = [name for name in free if {"integer", "number"} & set(fields[name]["types"])]
    assert len(numbers) > 100
    assert [name for name in numbers if name not in RANGES and "bounds" not in fields[name]] == []
    assert RANGES.keys() <= fields.keys()


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"saves_per_epoch": 2, "save_steps": 5}, "`saves_per_epoch` and `save_steps` together"),
        ({"warmup_steps": 2, "warmup_ratio": 0.1}, "`warmup_steps` and `warmup_ratio` together"),
        ({"save_strategy": "epoch", "save_steps": 5}, "`save_strategy: 'epoch'` with `save_steps"),
        ({"relora": True, "deepspeed": "a.json"}, "`relora` and `deepspeed` together"),
    ],
)
def test_settings_that_axolotl_refuses_together(settings: dict[str, Any], found: str) -> None:
    [(_, told, hint)] = either_problems(settings)
    assert told.startswith(found)
    assert "null`" in hint
    one = dict(list(settings.items())[1:])
    assert list(either_problems(one)) == []
    assert list(either_problems({**settings, list(settings)[1]: None})) == []


@pytest.mark.slow
def test_axolotl_does_refuse_them() -> None:
    """Asked in a process of its own, as its import takes long."""
    program = f"""
import json
from axolotl.utils.schemas.config import AxolotlInputConfig
least = {{"base_model": "m", "learning_rate": 1e-4, "datasets": [{{"path": "d", "type": "alpaca"}}]}}
values = {{"deepspeed": "d.json", "fsdp_config": {{"version": 2}}, "relora": True, "adapter": "lora",
          "lr_groups": [{{"name": "a", "modules": ["b"], "lr": 1.0}}], "max_memory": {{0: "1GiB"}},
          "gpu_memory_limit": 1, "ple_cpu_offload": True, "jagged_restart_steps": 2}}
pairs = {EITHER!r} + (("save_strategy", "save_steps"), ("eval_strategy", "eval_steps"))
taken = []
for pair in pairs:
    given = {{key: values.get(key, "epoch" if key.endswith("strategy") else 1) for key in pair}}
    extra = {{"jagged_restart_steps": 2, "adapter": "lora"}} if "relora" in pair else {{}}
    try:
        AxolotlInputConfig(**least, **extra, **given)
        taken.append(pair)
    except ValueError:
        pass
AxolotlInputConfig(**least)
print(json.dumps(taken))
"""
    done = run_program([sys.executable, "-c", program], child_environment())
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout[-500:] + done.stderr[-500:]


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("optimizer", "adamw_tosch", "adamw_torch"),
        ("lr_scheduler", "cosinus", "cosine"),
        ("eval_strategy", "step", "steps"),
        ("attn_implementation", "flash_attention", "flash_attention_2"),
    ],
)
def test_names_are_those_of_the_installed_versions(
    write_recipe: Write, key: str, value: str, hint: str
) -> None:
    write_recipe()
    [problem] = refused(f"sft.{key}={value}")
    assert problem.startswith(
        f"--set sft.{key}={value}: `sft.{key}` is '{value}'\n  expected: one of: "
    )
    assert problem.endswith(f"hint: did you mean `{hint}`?")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("sft.device=cuda", "`device` in sft is Stemma's to set"),
        ("train.local_rank=0", "the launcher gives each process its own"),
        ("train.world_size=2", "the launcher gives each process its own"),
        ("sft.hub_model_id=me/mine", "a recipe publishes nothing; push what you have looked at"),
        ("sft.push_dataset_to_hub=me/mine", "a recipe publishes nothing"),
        ("sft.gradio_share=true", "only Axolotl's own chat page reads it"),
        ("sft.overrides_of_model_config={hidden_size: 0}", "`base.model` says what a model"),
        ("base.deepspeed={stage: 1}", "`base.deepspeed` is {'stage': 1}\n  expected: string"),
        ("base.deepspeed=[a]", "`base.deepspeed` is ['a']\n  expected: string"),
        ("train.lora_target_modules=[]", "sft: `lora_target_modules` is empty"),
        ("train.lora_target_modules=nope", "no model has a module `nope`"),
        ("train.lora_target_modules=[nope]", "`lora_target_modules`: no model has a module `nope`"),
        ("train.lora_target_modules=[q_porj]", "did you mean `q_proj`?"),
        ("seed=-1", "`seed` is -1\n  expected: greater than or equal to 0"),
        ("seed=4294967296", "`seed` is 4294967296\n  expected: less than or equal to 4294967295"),
        ("seed=true", "`seed` is True\n  expected: a valid integer"),
        ("seed=18446744073709551616", "`seed` is a number of 65 bits"),
        ("eval.beta=0", "`eval.beta` is 0\n  expected: greater than 0"),
        ("eval.beta=1e400", "`eval.beta` is inf\n  expected: a finite number"),
        (
            "data.dpo.parts={validation: 0.6, test: 0.5}",
            "validation 0.6 and test 0.5 are more than",
        ),
        ("export.gates={max_kl: {gguf-Q8_0: 0.1}}", "gates.max_kl: `gguf-Q8_0` is not exported"),
        ("export.gates={max_kl: {nope: 0.1}}", "unknown nope; formats are bnb-int8,"),
        ("export.gguf.types=[F16, F16, Q4_K_M]", "the format gguf-F16 stands there twice"),
        ("eval.variants=[base, base]", "variants: `base` stands there twice"),
        ("base.model.hidden_size=0", "`hidden_size` is 0, expected a whole number of at least 1"),
        ("base.model.num_hidden_layers=1000000", "and at most 1,000"),
        ("base.model.head_dim=33", "`head_dim` is 33, expected an even number"),
        ("base.model.num_key_value_heads=5", "16 attention heads cannot share 5"),
        ("base.model.rms_norm_eps=-1", "`rms_norm_eps` is -1, expected a number above 0 and at"),
        ("base_model=", "missing"),
        ('base_model=""', "`base_model`: no path: give a file, a folder"),
        ('base_model="\\0"', "`base_model` holds the character U+0000"),
        ("chat_template=" + "x" * 300, "`chat_template`: a name in this path is longer than 255"),
        ("data.root=" + "x" * 300, "`data.root`: a name in this path is longer than 255 bytes"),
        ("train.deepspeed=" + "x" * 300, "no such file: '"),
        (
            "sweep={stage: sft, values: {lora_r: [1, 2], lora_alpha: [" + "1," * 600 + "]}}",
            "1,200 combinations; each is a training: at most 1,000",
        ),
    ],
    ids=lambda value: value[:40],
)
def test_what_no_recipe_may_say(write_recipe: Write, override: str, told: str) -> None:
    write_recipe()
    if told == "missing":
        assert load("small", [override]).base_model is None
        return
    assert told in "\n".join(refused(override))


def test_null_stands_for_the_default_where_a_forecast_needs_a_number(write_recipe: Write) -> None:
    write_recipe()
    nulls = ["sft.sequence_len=null", "sft.micro_batch_size=null", "sft.save_steps=null"]
    settings = load("small", nulls).training_settings("sft")
    assert (settings["sequence_len"], settings["save_steps"]) == (512, None)
    assert "micro_batch_size" not in settings


def test_a_deepspeed_file_of_brackets_is_told(write_recipe: Write) -> None:
    path = write_recipe().parent / "deepspeed" / "zero1.json"
    for text, told in (("[" * 99_000, "RecursionError"), ("[" * 100_001, "longer than 100,000")):
        path.write_text(text, encoding="utf-8")
        problems = refused()
        assert all("is no DeepSpeed configuration: " in one and told in one for one in problems)


def test_check_names_them_all(write_recipe: Write) -> None:
    """`plan` counted a rank of 0 as training of the whole model, and divided by a batch of 0."""
    write_recipe(("  lora_r: 8", "  lora_r: 0"))
    with pytest.raises(UserError) as caught:
        load("small", ["sft.micro_batch_size=0", "sft.learning_rate=0"])
    found = {problem.found for problem in caught.value.problems}
    assert found == {
        "`train.lora_r` is 0",
        "`sft.micro_batch_size` is 0",
        "`sft.learning_rate` is 0",
    }
