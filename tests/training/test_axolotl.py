"""The rendered Axolotl files, compared with golden ones: what changes here changes what everybody
trains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stemma import ROOT
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.recipe.sections import AXOLOTL_DEFAULTS
from stemma.runs import Run
from stemma.training.axolotl import Paths, render
from tests.conftest import Write

GOLDEN = ROOT / "tests" / "golden"
RUN = Run(Path("runs/small"))


def rendered(recipe: Recipe, stage: str, **changes: Any) -> dict[str, Any]:
    config = render(recipe, stage, replace(Paths.planned(RUN, recipe, stage), **changes))
    # The DeepSpeed file is the only path that is not the run's: where the recipe lies.
    return {
        **config,
        **({"deepspeed": Path(config["deepspeed"]).name} if "deepspeed" in config else {}),
    }


@pytest.mark.parametrize("stage", ["base", "sft", "dpo"])
def test_rendered_files_are_the_golden_ones(stage: str, write_recipe: Write) -> None:
    golden = YAML(typ="safe").load((GOLDEN / f"small-{stage}.yml").read_text(encoding="utf-8"))
    assert rendered(load(write_recipe()), stage) == golden


def test_recipe_keys_win_over_defaults(write_recipe: Write) -> None:
    recipe = load(write_recipe(("  lora_r: 8", "  lora_r: 8\n  save_steps: 7\n  sequence_len: 64")))
    config = rendered(recipe, "sft")
    assert (config["save_steps"], config["sequence_len"]) == (7, 64)
    assert config["eval_steps"] == 7, "it validates whenever it saves"
    assert config["attn_implementation"] == AXOLOTL_DEFAULTS["attn_implementation"]


def test_stage_keys_win_over_train_keys(write_recipe: Write) -> None:
    recipe = load(write_recipe(("sft: {start_from: base", "sft: {lora_r: 4, start_from: base")))
    assert (rendered(recipe, "sft")["lora_r"], rendered(recipe, "dpo")["lora_r"]) == (4, 8)


def test_without_validation_rows_nothing_is_evaluated(write_recipe: Write) -> None:
    config = rendered(load(write_recipe()), "sft", validation=None)
    assert not {"test_datasets", "eval_steps"} & config.keys()


def test_the_stock_trainer_is_a_choice(write_recipe: Write) -> None:
    stock = load(write_recipe(("rl: dpo, ", "rl: dpo, trainer: stock, ")))
    assert "stemma_dpo" not in rendered(stock, "dpo")
    some = load(write_recipe(("rl: dpo, ", "rl: dpo, trainer: {group_by_length: false}, ")))
    expected = {"chunked_logps": True, "group_by_length": False, "precompute_reference": True}
    expected |= {"shared_prompts": False}
    assert rendered(some, "dpo")["stemma_dpo"] == expected
    assert stock.section("dpo") != some.section("dpo"), "another trainer is another stage"
    assert stock.section("sft") == some.section("sft")


def test_ligers_plugin_is_named_where_one_of_its_kernels_is_asked_for(write_recipe: Write) -> None:
    liger = "axolotl.integrations.liger.LigerPlugin"
    recipe = load(
        write_recipe(
            ("learning_rate: 2e-4", "liger_rms_norm: true"),
            ("rl: dpo,", "rl: dpo, liger_rope: false,"),
        )
    )
    assert rendered(recipe, "sft")["plugins"] == ["stemma.plugin.StemmaPlugin", liger]
    assert rendered(recipe, "dpo")["plugins"] == ["stemma.plugin.StemmaPlugin"]


def test_another_stop_token_becomes_the_trainers_eos(write_recipe: Write) -> None:
    recipe = load(write_recipe())
    config = render(recipe, "dpo", Paths.planned(RUN, recipe, "dpo"), "<end_of_turn>")
    assert config["special_tokens"] == {"eos_token": "<end_of_turn>"}
    bare = render(recipe, "dpo", Paths.planned(RUN, recipe, "dpo"), "<|eot_id|>", "<|end_of_text|>")
    assert bare["special_tokens"] == {"eos_token": "<|eot_id|>", "pad_token": "<|end_of_text|>"}


def test_stages_train_on_the_weights_they_start_from(write_recipe: Write) -> None:
    recipe = load(write_recipe())
    starts = {
        stage: str(Paths.planned(RUN, recipe, stage).start) for stage in ("base", "sft", "dpo")
    }
    assert starts == {
        "base": "runs/small/base/init",
        "sft": "runs/small/base/merged",
        "dpo": "runs/small/sft/merged",
    }
