"""Shapes from config.json: counts as published, as computed by hand, and as the real classes and
PEFT have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemma.base_model.files import read_shapes
from stemma.errors import UserError
from stemma.jsonl import write_json
from stemma.recipe.load import load
from stemma.runs import Run
from stemma.shapes import ATTENTION, GEMMA, MLP, PUBLISHED, parse
from tests.conftest import Write
from tests.factories.recipes import MADE
from tests.factories.shapes import SIZES


def test_gemma_2b_by_hand() -> None:
    shapes = parse(PUBLISHED["google/gemma-2b"], "published")
    layer = 2 * 2048 * 2048 + 2 * 2048 * 256 + 3 * 2048 * 16384 + 2 * 2048
    assert shapes.parameters() == 256000 * 2048 + 18 * layer + 2048 == 2_506_172_416
    # q_proj 2048 -> 2048 and v_proj 2048 -> 256, rank 8: 8 x 4096 + 8 x 2304 = 51,200 a layer.
    assert shapes.adapter_parameters(8, ["q_proj", "v_proj"]) == 18 * 51_200 == 921_600
    assert round(100 * 921_600 / shapes.parameters(), 3) == 0.037


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("google/gemma-2-2b", 2_614_341_888),
        ("google/gemma-3-1b-pt", 999_885_952),
        ("Qwen/Qwen2.5-0.5B", 494_032_768),
        ("Qwen/Qwen3-0.6B-Base", 596_049_920),
        ("meta-llama/Llama-3.2-1B", 1_235_814_400),
    ],
)
def test_published_shapes_give_the_published_counts(name: str, parameters: int) -> None:
    assert parse(PUBLISHED[name], "published").parameters() == parameters


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", ["gemma", "gemma2", "gemma3_text", "llama", "qwen2", "qwen3"])
def test_counts_are_those_of_the_real_classes_and_of_peft(
    kind: str, tied: bool, tmp_path: Path
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes: dict[str, Any] = SIZES | ({} if kind == "qwen2" else {"attention_bias": not tied})
    model: Any = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **sizes, tie_word_embeddings=tied)
    )
    model.config.save_pretrained(tmp_path)
    shapes = parse(json.loads((tmp_path / "config.json").read_text()), "saved")
    assert shapes.parameters() == model.num_parameters()
    for targets in (["q_proj", "v_proj"], [*ATTENTION, *MLP]):
        adapted: Any = get_peft_model(model, LoraConfig(r=8, target_modules=targets))
        assert shapes.adapter_parameters(8, targets) == adapted.get_nb_trainable_parameters()[0]
        model = adapted.unload()


@pytest.mark.slow
def test_the_defaults_of_gemma_are_those_of_transformers() -> None:
    from transformers import GemmaConfig

    known = GemmaConfig().to_dict() | {"dtype": "float32"}
    assert {key: known[key] for key in GEMMA} == GEMMA


def test_where_shapes_come_from(write_recipe: Write, tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "small")
    made = read_shapes(load(write_recipe()), run)
    assert (made.origin, made.hidden, made.layers, made.vocabulary) == (
        "the recipe's base.model",
        32,
        28,
        400,
    )
    hub = load(write_recipe((MADE, "base_model: google/gemma-2b\n")))
    assert read_shapes(hub, run).parameters() == 2_506_172_416
    config = run.folder("base") / "merged" / "config.json"
    write_json(config, SIZES | {"model_type": "llama", "dtype": "float32"})
    folder = load(write_recipe((MADE, f"base_model: {config.parent}\n")))
    for recipe in (load(write_recipe()), folder):
        given = read_shapes(recipe, run)
        assert (given.origin, given.hidden, given.weight_bytes, given.tied) == (
            str(config),
            32,
            4,
            False,
        )


def test_unknown_shapes_say_how_to_give_them(write_recipe: Write, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_shapes(load(write_recipe((MADE, "base_model: nobody/no-model\n"))), Run(tmp_path))
    text = str(caught.value)
    assert text.startswith(
        "small.yml: base_model `nobody/no-model`: its shapes are not known on this machine"
    )
    assert (
        "`hf download nobody/no-model config.json` fetches them, as `--set base_model=FOLDER`"
        in text
    )


def test_other_architectures_are_refused() -> None:
    with pytest.raises(UserError, match="x: architecture `mamba`"):
        parse(SIZES | {"model_type": "mamba"}, "x")
    with pytest.raises(UserError, match="x: no model_type, hidden_size"):
        parse({key: value for key, value in SIZES.items() if key != "hidden_size"}, "x")
