"""Axolotl's keys: known, typed, not Stemma's, and not lying under `rl: dpo`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from eval.tasks import TASKS
from stemma.errors import UserError
from stemma.recipe import check, made_model
from stemma.recipe.axolotl_keys import OWNED, PINNED, axolotl_fields
from stemma.recipe.load import load
from stemma.recipe.schema import installed_axolotl, parse_type
from stemma.recipe.unheeded import REFUSED

Write = Callable[..., Path]
DPO = "dpo: {start_from: sft, rl: dpo, learning_rate: 5e-4"


def refused() -> list[str]:
    with pytest.raises(UserError) as caught:
        load("small")
    return [str(problem) for problem in caught.value.problems]


def test_misspelt_axolotl_keys_in_every_section(write_recipe: Write) -> None:
    write_recipe(
        ("  learning_rate: 1e-3", "  learning_rat: 1e-3"),
        ("  lora_r: 8", "  lora_rr: 8"),
        ("sft: {start_from: base,", "sft: {start_from: base, micro_batchsize: 8,"),
    )
    assert refused() == [
        f"recipes/small.yml:{line}: unknown key `{wrong}` in {section}\n"
        f"  expected: a key of Axolotl\n  hint: did you mean `{right}`?"
        for line, wrong, section, right in [
            (6, "learning_rat", "base", "learning_rate"),
            (9, "lora_rr", "train", "lora_r"),
            (11, "micro_batchsize", "sft", "micro_batch_size"),
        ]
    ]


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("model_type: llama", "`model_type` is 'llama', but a model made on the spot is a `gemma`"),
        ("hidden_sizes: 64", "unknown key `hidden_sizes`, did you mean `hidden_size`?"),
        ("a: 1", "unknown key `a`, known are hidden_size, intermediate_size, "),
        ("vocab_size: 5", "`vocab_size` comes from `base.tokenizer`"),
        ("head_dim: 0", "`head_dim` is 0, expected a whole number of at least 1"),
        ("head_dim: 1.5, a: 1", "at most 4,096; unknown key `a`"),
    ],
)
def test_a_model_made_on_the_spot_is_a_gemma(write_recipe: Write, model: str, told: str) -> None:
    write_recipe(("hidden_size: 32", model))
    [problem] = refused()
    assert problem.startswith("recipes/small.yml:4: `base.model`: ")
    assert told in problem


def test_keys_of_a_gemma_are_transformers() -> None:
    from transformers import GemmaConfig, PreTrainedConfig

    own = {field.name for field in dataclasses.fields(GemmaConfig)}
    shared = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    named = {*made_model.GEMMA_SIZES, *made_model.GEMMA_SETTINGS, *made_model.MADE_BY_THE_TOKENIZER}
    assert named >= own - shared
    assert named <= own


def test_axolotl_and_pydantic_problems_come_together(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", "  lora_rr: 8"), ("  from: dpo", "  from: dop"))
    assert [problem.split(" ")[0] for problem in refused()] == [
        "recipes/small.yml:9:",
        "recipes/small.yml:22:",
    ]


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("learning_rate", "fast", "`sft.learning_rate` is 'fast'\n  expected: number"),
        ("num_epochs", "[1]", "`sft.num_epochs` is [1]\n  expected: number"),
        ("micro_batch_size", "2.5", "`sft.micro_batch_size` is 2.5\n  expected: integer"),
        ("micro_batch_size", "true", "`sft.micro_batch_size` is True\n  expected: integer"),
        (
            "gradient_checkpointing",
            "offloat",
            "`sft.gradient_checkpointing` is 'offloat'\n  expected: boolean or 'offload' or",
        ),
        (
            "lora_target_modules",
            "{q: 1}",
            "`sft.lora_target_modules` is {'q': 1}\n  expected: array or string",
        ),
        ("weight_decay", ".nan", "`sft.weight_decay` is nan\n  expected: a finite number"),
    ],
)
def test_wrong_types(write_recipe: Write, key: str, value: str, expected: str) -> None:
    write_recipe(("learning_rate: 2e-4", f"{key}: {value}"))
    assert refused()[0].startswith(f"recipes/small.yml:11: {expected}")


@pytest.mark.parametrize(
    "setting",
    [
        "num_epochs: 3",
        "bf16: auto",
        "bf16: true",
        "lora_target_modules: [q_proj]",
        "max_steps: null",
        "eval_steps: 0.5",
        "max_memory: {0: 10GiB, cpu: 16GiB}",
    ],
)
def test_right_types(write_recipe: Write, setting: str) -> None:
    write_recipe(("learning_rate: 2e-4", setting))
    load("small")


def test_keys_that_stemma_owns_say_where_to_set_them(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", "  seed: 3"), ("learning_rate: 2e-4", "output_dir: out"))
    first, second = refused()
    assert (
        first == "recipes/small.yml:9: `seed` in train is Stemma's to set\n"
        "  expected: set instead: the recipe's `seed`"
    )
    assert (
        "`output_dir` in sft is Stemma's to set\n"
        "  expected: set instead: nothing: a stage writes to runs/" in second
    )


def test_owned_keys_are_axolotls() -> None:
    assert set(OWNED) <= set(axolotl_fields())


@pytest.mark.parametrize("key", check.LIES_UNDER_DPO)
def test_keys_that_lie_under_dpo_are_refused_with_the_reason(write_recipe: Write, key: str) -> None:
    write_recipe((DPO, f"{DPO}, {key}: 1"))
    problems = refused()
    found = f"recipes/small.yml:12: `{key}` under `rl: dpo`: {check.LIES_UNDER_DPO[key]}"
    assert any(problem.startswith(found) for problem in problems)


def test_a_lying_key_in_train_is_found_too_and_can_be_taken_back(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", "  lora_r: 8\n  sample_packing: true"))
    [problem] = refused()
    assert problem.startswith(
        "recipes/small.yml:10: `sample_packing` under `rl: dpo`: Axolotl rejects it"
    )
    assert "move it to `sft` or `mcq`, or set `dpo.sample_packing: null`" in problem
    write_recipe(
        ("  lora_r: 8", "  lora_r: 8\n  sample_packing: true"),
        (DPO, f"{DPO}, sample_packing: null"),
    )
    assert load("small").axolotl("dpo")["sample_packing"] is None


def test_the_stock_trainer_takes_liger_with_a_precomputed_reference(write_recipe: Write) -> None:
    write_recipe(
        (DPO, f"{DPO}, trainer: stock, dpo_use_liger_kernel: true, precompute_ref_log_probs: true")
    )
    assert load("small").axolotl("dpo")["dpo_use_liger_kernel"] is True


@pytest.mark.parametrize("key", ["mixlora_top_k", "mixlora_num_experts", "diffusion_lm"])
def test_keys_that_lead_to_no_file_that_ships_are_refused(write_recipe: Write, key: str) -> None:
    write_recipe(("  lora_r: 8", f"  {key}: 2"))
    reason = REFUSED["diffusion_lm" if key == "diffusion_lm" else "mixlora_"]
    assert (
        refused()[0] == f"recipes/small.yml:9: `{key}` in train: {reason}\n  hint: delete `{key}`"
    )


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("fsdp", "[full_shard]", "several GPUs train under `deepspeed`"),
        ("evaluation_strategy", "steps", "`eval_strategy` works"),
        ("rpo_alpha", "1.0", "with `dpo_loss_weights` works"),
    ],
)
def test_keys_that_axolotl_gave_up_say_what_works(
    write_recipe: Write, key: str, value: str, hint: str
) -> None:
    write_recipe(("  lora_r: 8", f"  {key}: {value}"))
    told = refused()[0]
    assert told.startswith(f"recipes/small.yml:9: `{key}` in train: Axolotl ")
    assert told.endswith(f"{hint}\n  hint: delete `{key}`")


def test_label_smoothing_needs_a_loss_that_heeds_it(write_recipe: Write) -> None:
    write_recipe((DPO, f"{DPO}, dpo_label_smoothing: 0.1"))
    found = "`dpo_label_smoothing` with the loss sigmoid, which does not heed it"
    expected = "`dpo_loss_type` of aot, aot_unpaired, exo_pair, robust"
    assert refused() == [f"recipes/small.yml:12: {found}\n  expected: {expected}"]
    write_recipe((DPO, f"{DPO}, dpo_label_smoothing: 0.1, dpo_loss_type: [robust]"))
    load("small")


def test_refused_beginnings_are_of_axolotls_keys() -> None:
    assert all(any(key.startswith(start) for key in axolotl_fields()) for start in REFUSED)


def test_a_key_of_fixed_values_takes_no_other(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", "  nf4_backend: torchoa"))
    assert refused()[0].startswith("recipes/small.yml:9: `train.nf4_backend` is 'torchoa'")
    write_recipe(("  lora_r: 8", "  nf4_backend: torchao"))
    load("small")


@pytest.mark.parametrize("key", check.NEEDS_STOCK)
def test_keys_only_the_stock_trainer_heeds(write_recipe: Write, key: str) -> None:
    value = "trl.DPOTrainer" if key == "trainer_cls" else "true"
    write_recipe((DPO, f"{DPO}, {key}: {value}"))
    [problem] = refused()
    assert problem.startswith(
        f"recipes/small.yml:12: `{key}` with Stemma's DPO trainer: {check.NEEDS_STOCK[key]}"
    )
    assert f"hint: delete `{key}`, or set `dpo.trainer: stock`" in problem
    write_recipe((DPO, f"{DPO}, {key}: {value}, trainer: stock"))
    load("small")


def test_a_trainer_is_stock_or_its_options(write_recipe: Write) -> None:
    write_recipe((DPO, f"{DPO}, trainer: {{chunked: true}}"))
    assert any("`chunked`" in problem or "dpo.trainer" in problem for problem in refused())
    write_recipe(("sft: {start_from: base", "sft: {trainer: stock, start_from: base"))
    assert refused()[0].startswith("recipes/small.yml:11: unknown key `trainer` in sft")


def test_rl_belongs_to_dpo_alone(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", "  rl: dpo"))
    assert refused()[0].startswith(
        "recipes/small.yml:9: `rl` in train\n  expected: `rl: dpo` in the section `dpo` only"
    )
    write_recipe(("rl: dpo, ", ""))
    assert refused()[0].startswith("recipes/small.yml:12: dpo: `rl` is None\n  expected: `rl: dpo`")


def test_lora_stages_need_deepspeed_and_an_adapter(write_recipe: Write) -> None:
    write_recipe(("  deepspeed: deepspeed/zero1.json\n", ""), ("  adapter: lora\n", ""))
    assert [problem.split("\n")[0] for problem in refused()] == [
        "recipes/small.yml:9: sft: `adapter` is None",
        "recipes/small.yml:9: sft: no `deepspeed` file",
        "recipes/small.yml:10: dpo: `adapter` is None",
        "recipes/small.yml:10: dpo: no `deepspeed` file",
    ]


def test_a_base_is_trained_whole(write_recipe: Write) -> None:
    write_recipe(("  learning_rate: 1e-3", "  adapter: lora"))
    assert refused()[0].startswith("recipes/small.yml:6: `adapter` in base")


def test_missing_deepspeed_file_names_the_nearest_once(write_recipe: Write, tmp_path: Path) -> None:
    write_recipe(("zero1.json", "zerol1.json"))
    assert refused() == [
        f"recipes/small.yml:10: no such file: {tmp_path}/recipes/deepspeed/zerol1.json\n"
        "  expected: a file beside the recipe\n  hint: did you mean `deepspeed/zero1.json`?"
    ]


def test_a_missing_deepspeed_file_of_the_base_is_found(write_recipe: Write) -> None:
    write_recipe(("learning_rate: 1e-3", "deepspeed: deepspeed/zerol1.json"))
    [problem] = refused()
    assert problem.startswith("recipes/small.yml:6: no such file: ")


def test_a_deepspeed_file_that_is_none(write_recipe: Write, tmp_path: Path) -> None:
    write_recipe()
    (tmp_path / "recipes/deepspeed/zero1.json").write_text("{}")
    assert "is no DeepSpeed configuration: KeyError('zero_optimization')" in refused()[0]


@pytest.mark.parametrize("stage", ["7", "-1", "1.5", "true", '"1"', "null"])
def test_a_deepspeed_file_of_no_stage(write_recipe: Write, tmp_path: Path, stage: str) -> None:
    write_recipe()
    text = f'{{"zero_optimization": {{"stage": {stage}}}}}'
    (tmp_path / "recipes/deepspeed/zero1.json").write_text(text)
    told = refused()[0]
    assert "is no DeepSpeed configuration: ValueError(" in told
    assert "the stage is " in told
    assert told.endswith("expected: JSON with zero_optimization.stage: 0, 1, 2 or 3")


def test_a_deepspeed_file_may_lie_anywhere(write_recipe: Write, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "zero1.json").write_text('{"zero_optimization": {"stage": 1}}')
    named = elsewhere / "zerol1.json"
    write_recipe(("deepspeed: deepspeed/zero1.json", f"deepspeed: {named}"))
    [told] = refused()
    assert f"no such file: {named}\n" in told
    assert told.endswith(f"hint: did you mean `{elsewhere / 'zero1.json'}`?")


def test_steps_within_the_warm_up_are_warned_of(write_recipe: Write) -> None:
    write_recipe()
    assert check.warnings(load("small", ["dpo.max_steps=11", "dpo.warmup_steps=10"])) == []
    assert check.warnings(load("small", ["dpo.max_steps=10", "dpo.warmup_steps=10"])) == [
        "dpo: 10 steps in all, and `warmup_steps: 10`: its learning rate is still rising when it "
        "ends; hint: `warmup_ratio: 0.03` fits any length"
    ]


def test_a_warm_up_of_all_steps_is_warned_of(write_recipe: Write) -> None:
    write_recipe()
    assert check.warnings(load("small", ["dpo.warmup_ratio=0.5"])) == []
    assert check.warnings(load("small", ["dpo.warmup_ratio=1.0"])) == [
        "dpo: `warmup_ratio: 1`: its learning rate is still rising when it ends; hint: "
        "`warmup_ratio: 0.03` fits any length"
    ]


def test_a_training_without_checkpoints_is_refused(write_recipe: Write) -> None:
    write_recipe()
    with pytest.raises(UserError) as caught:
        load("small", ["sft.save_steps=null", 'sft.save_strategy="no"'])
    assert str(caught.value) == (
        '--set sft.save_strategy="no": sft: `save_strategy: no`: no checkpoint is ever written, so '
        "whatever stops it loses all\n"
        "  hint: delete it: two checkpoints are kept (`save_total_limit`)"
    )


def test_zero3_is_warned_of(write_recipe: Write, tmp_path: Path) -> None:
    write_recipe()
    assert check.warnings(load("small")) == []
    (tmp_path / "recipes/deepspeed/zero1.json").write_text('{"zero_optimization": {"stage": 3}}')
    first, _ = check.warnings(load("small"))
    assert first.startswith("sft: `deepspeed: deepspeed/zero1.json`: ZeRO-3 gathers all weights")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ broken", "does not render"),
        ("{{ messages[0].nothing.more }}", "does not render"),
        ("always the same", "does not render"),
        ("{{ 1 / 0 }}", "does not render: division by zero"),
        ("{{ {}.popitem() }}", "does not render"),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", "writes no stop token"),
    ],
)
def test_templates_must_render_and_stop(
    write_recipe: Write, tmp_path: Path, template: str, expected: str
) -> None:
    write_recipe()
    (tmp_path / "recipes/templates/qa.jinja").write_text(template)
    [problem] = refused()
    assert problem.startswith("recipes/small.yml:2: ")
    assert expected in problem


def test_missing_template_names_the_nearest(write_recipe: Write) -> None:
    write_recipe(("qa.jinja", "qaa.jinja"))
    [problem] = refused()
    assert "no such chat template" in problem
    assert problem.endswith("hint: did you mean `templates/qa.jinja`?")


def test_stages_and_tasks_need_their_data(write_recipe: Write) -> None:
    write_recipe(
        ("  corpus: {sources: [{source: from_sets}]}\n", ""),
        ("{task: preference}", "{task: preference}\n  - {task: mcq}\n  - {task: speed}"),
    )
    assert refused() == [
        "recipes/small.yml:3: stage `base` has no data\n  expected: a data set `data.corpus`",
        "recipes/small.yml:28: task `mcq` has no data\n  expected: a data set `data.mcq`",
    ]


def test_a_task_is_given_once(write_recipe: Write) -> None:
    write_recipe(("{task: preference}", "{task: preference}\n  - {task: preference, limit: 3}"))
    [problem] = refused()
    assert problem.endswith(": task `preference` stands here again\n  expected: each task once")


def test_what_tasks_need_is_what_they_read() -> None:
    needed = {name: task.rows.data_set for name, task in TASKS.items() if task.rows}
    assert needed == check.SCORES


def test_types_are_read_from_annotations() -> None:
    assert parse_type("<class 'bool'>") == {"types": ["boolean"], "values": []}
    assert parse_type("typing.Union[typing.Literal['auto'], bool, NoneType]") == {
        "types": ["boolean"],
        "values": ["auto"],
    }
    assert parse_type(
        "dict[typing.Union[int, typing.Literal['cpu', 'disk']], int | str] | None"
    ) == {
        "types": ["object"],
        "values": [],
    }
    assert parse_type("typing.Any | None") == {"types": [], "values": []}
    assert parse_type("str | axolotl.utils.schemas.enums.Optimizers | None") == {
        "types": ["string"],
        "values": [],
    }
    assert parse_type("typing.Optional[typing.Annotated[list[str], MinLen(min_length=1)]]") == {
        "types": ["array"],
        "values": [],
    }


def test_the_pinned_list_is_of_the_installed_version() -> None:
    assert json.loads(PINNED.read_text())["axolotl"] == version("axolotl")


@pytest.mark.slow
def test_the_pinned_list_is_what_axolotl_says() -> None:
    assert json.loads(PINNED.read_text()) == installed_axolotl(), (
        "run `python -m stemma.recipe.schema --axolotl`"
    )


def test_a_hub_model_without_a_revision_is_told(write_recipe: Write) -> None:
    made = (
        "base:\n  model: {hidden_size: 32}\n  tokenizer: {vocab_size: 400}\n  learning_rate: 1e-3\n"
    )
    recipe = load(write_recipe((made, "base_model: google/gemma-2b\n")))
    told = (
        "`base_model: google/gemma-2b` without `base_revision`: the weights may change on the hub"
    )
    assert check.unpinned(recipe) == [told]
    assert (
        check.unpinned(
            load(write_recipe((made, "base_model: google/gemma-2b\nbase_revision: abc\n")))
        )
        == []
    )
    assert check.unpinned(load(write_recipe((made, "base_model: recipes\n")))) == [], "a folder"
