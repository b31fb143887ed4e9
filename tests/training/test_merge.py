"""The merged folder: right weights, the base's own tokenizer, the recipe's template, all stop
tokens."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from stemma.jsonl import read_json, write_json
from stemma.templates import Template
from stemma.training.lora import Lora
from stemma.training.merge import MergeParts, copy_tokenizer, merge_adapter, write_merged
from stemma.training.merge_gate import merge_gate
from tests.factories.adapters import make_adapter
from tests.factories.models import TEMPLATE, make_gemma, tiny_model

TEXTS = [[2, 120, 130, 140, 150], [2, 200, 210]]


def test_merged_folder_is_whole(tmp_path: Path) -> None:
    start, merged = tiny_model(), tmp_path / "merged"
    adapter = make_adapter(start, tmp_path / "adapter")
    merge_adapter(start, adapter, merged, Template.read(TEMPLATE))
    figures = merge_gate(start, adapter, merged, TEXTS).facts
    assert figures["merge"]["positions"] == 8
    assert figures["merge"]["max_difference"] < 1e-4 < figures["adapter_effect"]["max_difference"]
    for name in ("tokenizer.model", "tokenizer.json"):
        assert (merged / name).read_bytes() == (start / name).read_bytes()
    assert (merged / "chat_template.jinja").read_text(encoding="utf-8") == TEMPLATE.read_text(
        encoding="utf-8"
    )
    assert json.loads((merged / "generation_config.json").read_text())["eos_token_id"] == [1, 107]
    assert [path.name for path in tmp_path.glob(".*")] == [], "nothing half-written stays"


ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PLAIN: dict[str, dict[str, Any]] = {
    "plain": {"target_modules": ["q_proj", "v_proj"]},
    "every matrix": {"target_modules": ALL, "lora_alpha": 3},
    "rank-stabilised": {"target_modules": ["q_proj"], "use_rslora": True, "r": 7},
    "ranks by layer": {
        "target_modules": ["q_proj", "down_proj"],
        "use_rslora": True,
        "rank_pattern": {"layers.1.self_attn.q_proj": 6},
        "alpha_pattern": {"down_proj": 32},
    },
}
MORE: dict[str, dict[str, Any]] = {
    "use_dora": {"target_modules": ["q_proj"], "use_dora": True},
    "modules_to_save": {"target_modules": ["q_proj"], "modules_to_save": ["norm"]},
    "with bias lora_only": {"target_modules": ["q_proj"], "bias": "lora_only"},
}


@pytest.mark.parametrize(
    ("stored", "asked"), [("bfloat16", None), ("float32", None), ("bfloat16", "float16")]
)
@pytest.mark.parametrize("kind", PLAIN)
def test_merged_is_bit_for_bit_pefts(
    kind: str, stored: str, asked: str | None, tmp_path: Path
) -> None:
    start = make_gemma(tmp_path / "start", hidden=32, dtype=stored)
    adapter = make_adapter(start, tmp_path / "adapter", **PLAIN[kind])
    assert Lora(adapter).beyond(load_file(start / "model.safetensors")) is None
    write_merged(MergeParts(start, adapter, asked), tmp_path / "ours", Template.read(TEMPLATE))
    pefts = merged_by_peft(start, adapter, asked)
    pefts.save_pretrained(tmp_path / "theirs")
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()
    assert read_json(ours / "config.json") == read_json(theirs / "config.json")


@pytest.mark.parametrize("kind", MORE)
def test_an_adapter_that_is_more_than_sums_goes_through_peft(kind: str, tmp_path: Path) -> None:
    start = make_gemma(tmp_path / "start", hidden=32)
    adapter = make_adapter(start, tmp_path / "adapter", **MORE[kind])
    assert kind in str(Lora(adapter).beyond(load_file(start / "model.safetensors")))
    write_merged(MergeParts(start, adapter), tmp_path / "ours", Template.read(TEMPLATE))
    found, expected = (
        load_file(tmp_path / "ours" / "model.safetensors"),
        merged_by_peft(start, adapter).state_dict(),
    )
    assert all(torch.equal(found[name], expected[name]) for name in found)
    found = merge_gate(start, adapter, tmp_path / "ours", TEXTS)
    assert found.facts["merge"]["max_difference"] < 1e-4


def test_an_unknown_key_of_an_adapter_is_left_to_peft(tmp_path: Path) -> None:
    start = make_gemma(tmp_path / "start", hidden=32)
    adapter = make_adapter(start, tmp_path / "adapter")
    config = adapter / "adapter_config.json"
    write_json(config, read_json(config) | {"use_something_new": True})
    assert (
        Lora(adapter).beyond(load_file(start / "model.safetensors")) == "it has use_something_new"
    )


def test_a_base_in_several_files_becomes_one(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    start = make_gemma(tmp_path / "start", hidden=32)
    whole = (start / "model.safetensors").read_bytes()
    AutoModelForCausalLM.from_pretrained(start).save_pretrained(start, max_shard_size="20KB")
    assert len(list(start.glob("model-*.safetensors"))) > 1
    (start / "model.safetensors").unlink(missing_ok=True)
    write_merged(MergeParts(start, None), tmp_path / "merged", Template.read(TEMPLATE))
    assert (tmp_path / "merged" / "model.safetensors").read_bytes() == whole


def merged_by_peft(start: Path, adapter: Path, dtype: str | None = None) -> Any:
    """As it was done before: the model in float32 where another dtype is asked for, else as
    stored."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32 if dtype else "auto")
        merged: Any = PeftModel.from_pretrained(base, str(adapter)).merge_and_unload()
        return merged.to(getattr(torch, dtype)) if dtype else merged


def test_stop_token_of_the_template_joins_the_eos_ids(tmp_path: Path) -> None:
    start = make_gemma(tmp_path / "start", hidden=32, layers=1)
    (start / "generation_config.json").write_text('{"eos_token_id": 1, "bos_token_id": 2}')
    turns = Template(
        "{{ bos_token }}{% for m in messages %}{{ m.content }}<end_of_turn>{% endfor %}"
    )
    merge_adapter(start, make_adapter(start, tmp_path / "adapter"), tmp_path / "merged", turns)
    assert json.loads((tmp_path / "merged" / "generation_config.json").read_text())[
        "eos_token_id"
    ] == [1, 107]


def test_tokenizer_config_gets_back_what_transformers_drops(tmp_path: Path) -> None:
    source = make_gemma(tmp_path / "start", hidden=32, layers=1)
    config = json.loads((source / "tokenizer_config.json").read_text())
    (source / "tokenizer_config.json").write_text(
        json.dumps(
            {k: v for k, v in config.items() if k != "added_tokens_decoder"}
            | {"vocab_file": "/home/me/x"}
        )
    )
    target = tmp_path / "target"
    target.mkdir()
    copy_tokenizer(source, target, Template.read(TEMPLATE))
    written = json.loads((target / "tokenizer_config.json").read_text())
    assert written["added_tokens_decoder"]["107"]["content"] == "<end_of_turn>"
    assert "vocab_file" not in written


def test_settings_name_no_code_of_their_own(tmp_path: Path) -> None:
    """Local folders with `auto_map` are refused; one on the hub may hold it all the same."""
    source, merged = make_gemma(tmp_path / "start", hidden=32, layers=1), tmp_path / "merged"
    code = {
        "auto_map": {"AutoModelForCausalLM": "other/repository--modeling.Model"},
        "custom_pipelines": {"text-generation": {"impl": "pipeline.Pipeline"}},
    }
    for name in ("config.json", "tokenizer_config.json"):
        value = json.loads((source / name).read_text())
        (source / name).write_text(json.dumps(value | code | {"kept": {"auto_map": {}, "b": 1}}))
    write_merged(MergeParts(source, None), merged, Template.read(TEMPLATE))
    for path in merged.glob("*.json"):
        if "config" in path.name:
            assert "auto_map" not in path.read_text()
            assert "custom_pipelines" not in path.read_text()
    assert json.loads((merged / "tokenizer_config.json").read_text())["kept"] == {"b": 1}


@pytest.mark.parametrize(
    ("generation", "config", "stops"),
    [
        ({"do_sample": True}, {}, [1, 107]),  # config.json names 1
        (
            {"eos_token_id": None},
            {"eos_token_id": None},
            [107],
        ),  # nobody names one: the template does
        (None, {"eos_token_id": [1, 5]}, [1, 5, 107]),
    ],
)
def test_a_base_whose_generation_config_names_no_last_token(
    generation: dict[str, Any] | None, config: dict[str, Any], stops: list[int], tmp_path: Path
) -> None:
    start = Path(shutil.copytree(tiny_model(), tmp_path / "start"))
    (start / "generation_config.json").unlink()
    if generation is not None:
        write_json(start / "generation_config.json", generation)
    write_json(start / "config.json", read_json(start / "config.json") | config)
    turns = Template("{% for m in messages %}{{ m.content }}<end_of_turn>{% endfor %}")
    write_merged(MergeParts(start, None), tmp_path / "merged", turns)
    assert read_json(tmp_path / "merged" / "generation_config.json")["eos_token_id"] == stops
