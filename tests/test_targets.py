"""The weights that get an adapter: as PEFT decides, on real modules; and what a model cannot have."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from stemma.errors import GateFailed, UserError
from stemma.jsonl import read_json
from stemma.plan.forecast import Hardware, plan
from stemma.recipe.load import load
from stemma.runs import Run
from stemma.shapes import PUBLISHED, parse
from stemma.targets import Targets, setting_problems, target_problems
from stemma.templates import Template
from stemma.training import gates
from stemma.training.merge import merge_adapter
from stemma.training.merge_gate import merge_gate
from stemma.training.trained_weights import count_weights
from tests.conftest import Write
from tests.factories.adapters import make_adapter
from tests.factories.models import TEMPLATE, make_gemma, tiny_model
from tests.factories.recipes import MADE

SETTINGS: dict[str, dict[str, Any]] = {
    "names": {"target_modules": ["q_proj", "down_proj"]},
    "longer names": {"target_modules": ["self_attn.q_proj", "model.layers.1.mlp.up_proj"]},
    "an expression": {"target_modules": r".*\.layers\.[01]\.self_attn\.(q|v)_proj"},
    "an expression that meets whole names only": {"target_modules": r"model\.layers\.1.*q_proj"},
    "some layers": {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]},
    "one layer": {"target_modules": ["q_proj"], "layers_to_transform": 0},
    "layers by pattern": {
        "target_modules": ["q_proj"],
        "layers_to_transform": [1],
        "layers_pattern": ["layers"],
    },
    "layers by a name's beginning": {
        "target_modules": ["q_proj"],
        "layers_to_transform": [1],
        "layers_pattern": "model.layers",
    },
    "a whole name in another layer": {
        "target_modules": ["model.layers.0.mlp.up_proj", "q_proj"],
        "layers_to_transform": [1],
    },
    "less some": {
        "target_modules": ["q_proj", "k_proj"],
        "exclude_modules": ["layers.0.self_attn.q_proj"],
    },
    "less an expression": {
        "target_modules": ["q_proj", "k_proj"],
        "exclude_modules": r".*\.0\..*k_proj",
    },
    "one trained whole": {"target_modules": ["q_proj", "k_proj"], "modules_to_save": ["k_proj"]},
    "all linear": {"target_modules": "all-linear"},
}


def weights_of(folder: Path) -> list[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return list(file.keys())


@pytest.mark.parametrize("name", SETTINGS)
def test_covered_are_those_that_peft_adapts_and_the_gate_passes(name: str, tmp_path: Path) -> None:
    adapter = make_adapter(tiny_model(), tmp_path, **SETTINGS[name])
    pairs = {
        key.split(".lora_A")[0]
        for key in load_file(adapter / "adapter_model.safetensors")
        if ".lora_A" in key
    }
    targets = Targets.of_adapter(read_json(adapter / "adapter_config.json"))
    covered = {
        f"base_model.model.{one.removesuffix('.weight')}"
        for one in targets.among(weights_of(tiny_model()))
    }
    assert covered == pairs
    assert (
        gates.adapter_gate(tiny_model(), adapter).facts["adapter"]["lora_pairs"] == len(pairs) > 0
    )


@cache
def untied(folder: Path) -> Path:
    from transformers import AutoModelForCausalLM

    start = make_gemma(folder, hidden=32)
    AutoModelForCausalLM.from_pretrained(start, tie_word_embeddings=False).save_pretrained(start)
    return start


def test_adapters_on_an_untied_embedding_and_head_pass_the_gates(tmp_path: Path) -> None:
    start = untied(tmp_path / "start")
    adapter = make_adapter(
        start, tmp_path / "adapter", target_modules=["q_proj", "embed_tokens", "lm_head"]
    )
    assert gates.adapter_gate(start, adapter).facts["adapter"]["lora_pairs"] == 4
    merge_adapter(start, adapter, tmp_path / "merged", Template.read(TEMPLATE))
    figures = merge_gate(start, adapter, tmp_path / "merged", [[2, 120, 130, 140, 150]]).facts
    assert figures["merge"]["max_difference"] < 1e-4 < figures["adapter_effect"]["max_difference"]
    never = make_adapter(start, tmp_path / "never", scale=0, target_modules=["embed_tokens"])
    with pytest.raises(GateFailed, match=r"left at zero: 1 \(at most 0, n = 1\) FAILED"):
        gates.adapter_gate(start, never)


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens"])
def test_merging_on_one_half_of_a_tied_pair_does_break_the_model(end: str, tmp_path: Path) -> None:
    """Why `check` refuses it."""
    adapter = make_adapter(tiny_model(), tmp_path / "adapter", target_modules=[end])
    merge_adapter(tiny_model(), adapter, tmp_path / "merged", Template.read(TEMPLATE))
    with pytest.raises(GateFailed, match="merging broke the model"):
        merge_gate(tiny_model(), adapter, tmp_path / "merged", [[2, 120, 130, 140, 150]])


def told(keys: dict[str, Any], tied: bool = True) -> list[str]:
    shapes = parse(PUBLISHED["google/gemma-2b"] | {"tie_word_embeddings": tied}, "published")
    return [str(problem) for problem in target_problems(keys, shapes, "r.yml: sft")]


def test_what_a_model_cannot_have() -> None:
    assert (
        told({})
        == told({"lora_target_modules": ["q_proj"]})
        == told({"lora_target_linear": True})
        == []
    )
    assert told({"lora_target_modules": ["q_proj", "q_porj"]})[0].startswith(
        "r.yml: sft: lora_target_modules: nothing in this model is `q_porj`\n"
    )
    assert "nothing in this model is `q_proj`\n" in told({"lora_target_modules": "q_proj"})[0], (
        "met as a whole"
    )
    assert (
        "is `q_proj` in the layers [18] (of 18, from 0)"
        in told({"lora_target_modules": ["q_proj"], "peft_layers_to_transform": [18]})[0]
    )
    assert (
        "covers model.norm, which is no matrix"
        in told({"lora_target_modules": ["q_proj", "norm"]})[0]
    )


def test_one_half_of_a_tied_pair_is_refused() -> None:
    both = {"lora_target_modules": ["q_proj", "lm_head"], "lora_modules_to_save": ["embed_tokens"]}
    head, embedding = told(both)
    assert head.startswith(
        "r.yml: sft: lora_target_modules: lm_head, but this model's embedding is its head: "
    )
    assert embedding.startswith("r.yml: sft: lora_modules_to_save: embed_tokens, but")
    assert (
        "lora_target_modules: model.embed_tokens"
        in told({"lora_target_modules": ["embed_tokens"]})[0]
    )
    assert told(both, tied=False) == []


def test_settings_that_no_model_can_have() -> None:
    expression = {"lora_target_modules": r".*q_proj"}
    assert list(setting_problems(expression | {"peft_layers_to_transform": None})) == []
    [(key, found, _)] = setting_problems(expression | {"peft_layers_to_transform": [0]})
    assert (key, "PEFT refuses it" in found) == ("peft_layers_to_transform", True)
    [(key, found, _)] = setting_problems(expression | {"lora_target_linear": True})
    assert (key, "takes it for the name of a module" in found) == ("lora_target_linear", True)
    for start in ("pissa_niter_4", "olora", False):
        moving = {"peft_init_lora_weights": start}
        assert [key for key, _, _ in setting_problems(moving | {"rl": "dpo"})] == [
            "peft_init_lora_weights"
        ]
        assert list(setting_problems(moving)) == []
    assert list(setting_problems({"peft_init_lora_weights": "gaussian", "rl": "dpo"})) == []
    [(key, found, _)] = setting_problems({"lora_target_modules": "(q_proj"})
    assert (key, found) == (
        "lora_target_modules",
        "`(q_proj` is no regular expression: missing ), unterminated subpattern at position 0",
    )


def test_lists_hold_names_or_layers() -> None:
    wrong = {"lora_target_modules": ["q_proj", 1], "peft_layers_to_transform": [0, "1"]}
    assert list(setting_problems(wrong)) == [
        ("lora_target_modules", "`lora_target_modules` holds 1", "give a list of names"),
        (
            "peft_layers_to_transform",
            "`peft_layers_to_transform` holds '1'",
            "give a list of layers",
        ),
    ]
    assert list(setting_problems({"lora_modules_to_save": None, "peft_layers_pattern": []})) == []


def test_peft_and_axolotl_do_refuse_them() -> None:
    from peft import LoraConfig

    with pytest.raises(
        ValueError, match="layers_to_transform` cannot be used when `target_modules` is a str"
    ):
        LoraConfig(target_modules=".*q_proj", layers_to_transform=[0])


def test_check_tells_the_line(write_recipe: Write) -> None:
    write_recipe(("  lora_r: 8", "  lora_r: 8\n  lora_target_modules: '(q'\n"))
    with pytest.raises(UserError, match=r"small\.yml:10: sft: `\(q` is no regular expression"):
        load("small")


@pytest.mark.parametrize(
    ("modules", "trained"),
    [
        ("'.*[qv]_proj'", 921_600),  # the report's, by hand in test_shapes
        (r"'.*\.layers\.[0-8]\..*[qv]_proj'", 460_800),  # half of the 18 layers
        ("[q_proj, v_proj]\n  peft_layers_to_transform: [0, 1, 2]", 153_600),
        ("all-linear", 9_805_824),
    ],
)
def test_weights_are_counted(
    modules: str, trained: int, write_recipe: Write, tmp_path: Path
) -> None:
    """all-linear by hand, rank 8: q and o 4,096 each, k and v 2,304 each, the MLP's 18,432 each:
    68,096 x 8 x 18."""
    lora = ("  lora_r: 8", f"  lora_r: 8\n  lora_target_modules: {modules}")
    recipe = load(write_recipe((MADE, "base_model: google/gemma-2b\n"), lora))
    assert count_weights(recipe, Run(tmp_path), "sft") == (trained, 2_506_172_416 + trained)
    assert plan(recipe, Run(tmp_path), Hardware()).stages[0].trainable == trained
