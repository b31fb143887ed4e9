"""A base model's folder is looked at before anything runs. What is missing is what transformers
misses."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stemma import LLAMA_CPP
from stemma.base_model.folder import check_base_model, problems_of, refuse_unfit
from stemma.base_model.tokenizer import converter_knows
from stemma.errors import UserError
from stemma.from_gguf.header import read_gguf
from stemma.from_gguf.tokenizer_files import write_tokenizer
from stemma.jsonl import read_json, write_json
from stemma.recipe.load import load
from stemma.runs import Run
from stemma.shapes import parse
from stemma.tensors import Tensors
from tests.conftest import Write
from tests.factories.models import tiny_model
from tests.factories.recipes import MADE
from tests.from_gguf.files import TEMPLATE as CHATML
from tests.from_gguf.files import write_gguf

KINDS = ["gemma", "gemma2", "gemma3_text", "llama", "qwen2", "qwen3"]
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
HEAD, LAST = "lm_head.weight", "model.layers.2."


def make(folder: Path, kind: str = "llama", tied: bool = False, **more: Any) -> Path:
    """A model of three tiny layers, without a tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **{**SIZES, "tie_word_embeddings": tied, **more})
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    return folder


def rename(folder: Path, change: Any) -> None:
    """Write the weights anew, each under the name that `change` gives it; None leaves it out."""
    tensors = load_file(folder / "model.safetensors")
    kept = {new: tensor for name, tensor in tensors.items() if (new := change(name))}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def told(folder: Path, **how: Any) -> list[str]:
    return [str(problem) for problem in problems_of(folder, **how)]


def missed_by_transformers(folder: Path) -> tuple[set[str], set[str]]:
    """What it fills with random numbers, and what it drops."""
    from transformers import AutoModelForCausalLM

    _, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    return set(info["missing_keys"]), set(info["unexpected_keys"])


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_of_each_family_are_those_of_the_real_classes(
    kind: str, tied: bool, tmp_path: Path
) -> None:
    folder = make(tmp_path, kind, tied, **({} if kind == "qwen2" else {"attention_bias": not tied}))
    saved = {
        name: tuple(tensor.shape)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    assert parse(read_json(folder / "config.json"), "saved").tensors() == saved
    assert told(folder) == []


CHANGES: dict[str, Any] = {
    "whole": lambda name: name,
    "a layer": lambda name: None if name.startswith(LAST) else name,
    "an untied head": lambda name: None if name == HEAD else name,
    "a norm": lambda name: None if name == "model.norm.weight" else name,
    "under module.": lambda name: f"module.{name}",
    "compiled": lambda name: f"_orig_mod.{name}",
    "without model.": lambda name: name.removeprefix("model."),
    "a layer too many": lambda name: (
        name.replace("layers.2", "layers.3") if "down_proj" in name else name
    ),
    "unmerged": lambda name: name.replace("q_proj.weight", "q_proj.base_layer.weight"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_transformers_would_fill_or_drop_is_refused(change: str, tmp_path: Path) -> None:
    rename(make(tmp_path), CHANGES[change])
    missing, dropped = missed_by_transformers(tmp_path)
    said = told(tmp_path)
    counted = [
        line.split(": ", 1)[1].split(" ")[0]
        for text in said
        if "weights" in (line := text.splitlines()[0])
    ]
    assert counted == [str(len(names)) for names in (missing, dropped) if names]
    for name in [*missing, *dropped] if len(missing) < 3 else []:
        assert any(name in text for text in said)


def test_a_missing_layer_is_told_in_words(tmp_path: Path) -> None:
    rename(make(tmp_path), CHANGES["a layer"])
    assert told(tmp_path) == [
        f"{tmp_path}: 9 of 30 weights are missing: model.layers.2.input_layernorm.weight, "
        "model.layers.2.mlp.down_proj.weight, model.layers.2.mlp.gate_proj.weight and 6 more\n"
        "  expected: every weight that config.json asks for\n"
        "  hint: transformers would put random ones in their place and go on; copy or save the "
        "model anew"
    ]
    rename(make(tmp_path), CHANGES["under module."])
    missing, strange = told(tmp_path)
    assert "30 of 30 weights are missing" in missing
    assert "hint: the names begin with `module.`, which a trainer's wrapper put there" in missing
    assert "30 weights that this architecture does not have: module.lm_head.weight" in strange


def test_a_tied_head_may_lie_in_the_file_too_and_old_rotary_buffers(tmp_path: Path) -> None:
    folder = make(tmp_path, tied=True)
    tensors = load_file(folder / "model.safetensors")
    tensors[HEAD] = tensors["model.embed_tokens.weight"].clone()
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert told(folder) == []


def test_shapes_that_disagree_with_the_config(tmp_path: Path) -> None:
    folder = make(tmp_path)
    config = read_json(folder / "config.json")
    write_json(folder / "config.json", config | {"num_key_value_heads": 4})
    assert told(folder) == [
        f"{folder}/model.safetensors: `model.layers.0.self_attn.k_proj.weight` is 16 x 16\n"
        "  expected: 32 x 16, by config.json"
    ]
    write_json(folder / "config.json", config | {"num_hidden_layers": 2})
    assert "9 weights that this architecture does not have: model.layers.2" in told(folder)[0]
    write_json(folder / "config.json", config | {"num_hidden_layers": 4})
    assert "9 of 39 weights are missing: model.layers.3" in told(folder)[0]


def sharded(folder: Path) -> list[Path]:
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(make(folder / "whole"))
    model.save_pretrained(folder / "shards", max_shard_size="12KB")
    return sorted((folder / "shards").glob("*.safetensors"))


def test_shards_missing_cut_off_or_in_the_wrong_place(tmp_path: Path) -> None:
    first, second, *others = sharded(tmp_path)
    folder = first.parent
    assert others
    assert told(folder) == []
    second.write_bytes(second.read_bytes()[:-1])
    size = second.stat().st_size
    first.rename(folder / "first")
    expected = [
        f"{first}: no such file\n  expected: a file that model.safetensors.index.json names\n"
        "  hint: copy or download it anew",
        f"{second}: cut off: {size:,} bytes\n  expected: {size + 1:,} bytes\n"
        "  hint: copy or download it anew",
    ]
    assert told(folder) == expected
    (folder / "first").rename(first)
    second.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    assert told(folder)[0].startswith(f"{second}: a pointer of Git LFS")
    second.write_bytes(b"")
    assert told(folder)[0].startswith(f"{second}: cut off: 0 bytes")
    second.write_bytes(first.read_bytes())
    assert any("tensors are not where it says" in text for text in told(folder))
    (folder / "model.safetensors.index.json").write_text("{}")
    assert told(folder)[0].startswith(f"{folder}/model.safetensors.index.json: no `weight_map`")


def test_weights_that_nothing_names(tmp_path: Path) -> None:
    folder = make(tmp_path)
    save_file({"x": torch.ones(1)}, folder / "old.safetensors")
    assert told(folder)[0].startswith(f"{folder}: weights that nothing names: old.safetensors\n")
    (folder / "old.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model.safetensors").unlink()
    assert "model-00001-of-00002.safetensors, but neither model.safetensors nor" in told(folder)[0]


def test_pickles_alone_and_no_weights(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "model.safetensors").unlink()
    assert told(folder) == [
        f"{folder}: no weights\n  expected: model.safetensors, or model.safetensors.index.json "
        "and its files"
    ]
    assert told(folder, weightless=True) == []
    (folder / "pytorch_model.bin").write_bytes(b"")
    for weightless in (True, False):
        [problem] = told(folder, weightless=weightless)
        assert (
            "weights as pickles only (pytorch_model.bin): loading a pickle runs code that is in it"
            in problem
        )


def test_adapters_inside_and_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "model")
    write_json(folder / "adapter_config.json", {"base_model_name_or_path": "google/gemma-2b"})
    (folder / "adapter_model.safetensors").write_bytes(b"")
    [inside] = told(folder)
    assert inside.startswith(
        f"{folder}/adapter_config.json: an adapter's files in a model's folder"
    )
    (folder / "config.json").unlink()
    [alone] = told(folder)
    assert alone.startswith(f"{folder}: an adapter alone\n")
    assert "its base is `google/gemma-2b`" in alone


def test_quantised_weights_and_foreign_code(tmp_path: Path) -> None:
    folder = make(tmp_path)
    config = read_json(folder / "config.json")
    code = {"AutoModelForCausalLM": "modeling_x.Model"}
    write_json(
        folder / "config.json", config | {"quantization_config": {"quant_method": "bitsandbytes"}}
    )
    assert "quantised weights (`quantization_config`, bitsandbytes)" in told(folder)[0]
    write_json(folder / "config.json", config | {"auto_map": code})
    assert "`auto_map`: it comes with Python code of its own, which is never run" in told(folder)[0]
    write_json(folder / "config.json", config)
    tensors = load_file(folder / "model.safetensors")
    save_file(
        tensors | {HEAD: tensors[HEAD].to(torch.int8)},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    assert told(folder)[0].startswith(f"{folder}: weights stored as I8: lm_head.weight")


def copied(folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(tiny_model(), folder / "model"))


def test_tokens_added_without_resizing(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    assert told(folder) == []
    tokenizer = read_json(folder / "tokenizer.json")
    tokenizer["added_tokens"].append(
        tokenizer["added_tokens"][0] | {"id": 448, "content": "<|im_start|>"}
    )
    write_json(folder / "tokenizer.json", tokenizer)
    [problem] = told(folder)
    assert "1 of its tokens have no row in the embedding of 448: `<|im_start|>` = 448" in problem
    write_json(
        folder / "config.json", read_json(folder / "config.json") | {"model_type": "gemma3_text"}
    )
    tokenizer["added_tokens"][-1]["content"] = "<image_soft_token>"  # as published
    write_json(folder / "tokenizer.json", tokenizer)
    assert not any("have no row" in text for text in told(folder))


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    tokenizer = read_json(folder / "tokenizer.json")
    small = {token: number for token, number in tokenizer["model"]["vocab"].items() if number < 200}
    tokenizer["model"]["vocab"] = small
    write_json(folder / "tokenizer.json", tokenizer)
    assert any("200 tokens for an embedding of 448 rows" in text for text in told(folder))
    config = read_json(folder / "tokenizer_config.json")
    write_json(folder / "tokenizer_config.json", config | {"eos_token": "</s>"})
    assert any(
        "`eos_token` is `</s>`, which the tokenizer does not know" in text for text in told(folder)
    )
    (folder / "tokenizer.json").write_text("{}")
    assert any("tokenizer.json: not a tokenizer: no 'model'" in text for text in told(folder))


def test_a_gemma_whose_pieces_were_not_saved(tmp_path: Path) -> None:
    """As transformers 5 saves it; the converter would stop at it, after all trainings (llama.cpp
    issue 19152)."""
    folder = copied(tmp_path)
    (folder / "tokenizer.model").unlink()
    [problem] = told(folder)
    assert problem.startswith(
        f"{folder}/tokenizer.model: no such file\n  expected: the SentencePiece model"
    )


def test_a_vocabulary_of_ones_own_is_told_before_the_training(tmp_path: Path) -> None:
    folder = make(tmp_path, vocab_size=265, max_position_embeddings=2048)
    write_tokenizer(read_gguf(write_gguf(tmp_path / "x.gguf")), CHATML, folder)
    recipe = load("smollm2", [f"base_model={folder}"])
    check_base_model(recipe, Run(tmp_path), ["data"])
    with pytest.raises(UserError) as caught:
        check_base_model(recipe, Run(tmp_path), ["sft"])
    assert [str(problem).splitlines()[0] for problem in caught.value.problems] == [
        f"{folder}/tokenizer.json: llama.cpp's converter does not know it"
    ]


@pytest.mark.parametrize("name", ["qwen2", "llama-bpe"])
def test_published_vocabularies_are_known_to_the_converter(name: str, tmp_path: Path) -> None:
    write_tokenizer(read_gguf(LLAMA_CPP / "models" / f"ggml-vocab-{name}.gguf"), CHATML, tmp_path)
    assert converter_knows(tmp_path)


def test_architectures_not_known_here_have_layers_alike_and_a_head(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3}
    config = AutoConfig.for_model(
        "gpt_neox", **sizes, num_attention_heads=4, tie_word_embeddings=False
    )
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(tmp_path)
    assert told(tmp_path) == []
    dense = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"
    rename(tmp_path, lambda name: None if name in (dense, "embed_out.weight", HEAD) else name)
    [problem] = told(tmp_path)
    assert f"weights are missing: a head beside gpt_neox.embed_in.weight, {dense}\n" in problem
    rename(tmp_path, lambda name: None if ".layers.2." in name else name)
    assert "gpt_neox.layers.2" in told(tmp_path)[0]


def test_all_problems_come_at_once_and_equal_files_are_looked_at_once(tmp_path: Path) -> None:
    folder = make(tmp_path)
    rename(folder, CHANGES["an untied head"])
    write_json(
        folder / "config.json",
        read_json(folder / "config.json") | {"auto_map": {"AutoModel": "x.Y"}},
    )
    with pytest.raises(UserError) as caught:
        refuse_unfit(folder)
    assert len(caught.value.problems) == 2
    assert problems_of(folder) is problems_of(folder)
    (folder / "config.json").write_text(json.dumps([]))
    assert told(folder) == [f"{folder}/config.json: a JSON list\n  expected: one JSON object"]


def test_sequences_longer_than_the_models_positions(tmp_path: Path) -> None:
    """Axolotl only warns, and raises the figure in the config."""
    config = {"model_type": "llama", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 96}
    config |= {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 512}
    write_json(tmp_path / "config.json", config)
    given = [f"base_model={tmp_path}", "base_revision=null", "mcq.sequence_len=512"]
    with pytest.raises(UserError) as caught:
        check_base_model(load("gemma2b", given), Run(tmp_path), ["plan"])
    [problem] = caught.value.problems
    assert (problem.where, problem.found) == ("gemma2b.yml: dpo", "sequence_len 1024")
    assert problem.expected == "at most 512, by max_position_embeddings"
    with pytest.raises(UserError) as caught:
        check_base_model(load("tiny", ["base.sequence_len=600"]), Run(tmp_path), ["plan"])
    [problem] = caught.value.problems
    assert (problem.where, problem.found) == ("tiny.yml: base", "sequence_len 600")


def changed(folder: Path, file: str, **keys: Any) -> Path:
    """`tiny_model` as `folder`, with these keys in one of its JSON files; None takes one out."""
    shutil.copytree(tiny_model(), folder)
    kept = {
        name: value
        for name, value in (read_json(folder / file) | keys).items()
        if value is not None
    }
    write_json(folder / file, kept)
    return folder


@pytest.mark.parametrize(
    ("file", "keys", "found"),
    [
        ("config.json", {"num_hidden_layers": "2"}, "`num_hidden_layers` is '2'"),
        ("config.json", {"hidden_size": 0}, "`hidden_size` is 0"),
        ("config.json", {"model_type": None}, "`model_type` is None"),
        ("config.json", {"eos_token_id": 9999}, "`eos_token_id` is 9999"),
        ("generation_config.json", {"eos_token_id": "1"}, "`eos_token_id` is '1'"),
        ("generation_config.json", {"eos_token_id": [1, 448]}, "`eos_token_id` is [1, 448]"),
    ],
)
def test_values_that_would_stop_a_later_stage(
    file: str, keys: dict[str, Any], found: str, tmp_path: Path
) -> None:
    """Each ended in a traceback, the last ones after training."""
    [problem] = told(changed(tmp_path / "model", file, **keys))
    assert f"model/{file}: {found}" in problem


@pytest.mark.parametrize("eos", [None, [], [1, 107]])
def test_last_tokens_that_are_fine(eos: Any, tmp_path: Path) -> None:
    assert (
        told(
            changed(tmp_path / "model", "generation_config.json", eos_token_id=eos, pad_token_id=-1)
        )
        == []
    )


@pytest.mark.parametrize(
    "file", [f"{n}config.json" for n in ("", "generation_", "tokenizer_", "adapter_")]
)
def test_a_file_that_is_no_object_is_named(file: str, tmp_path: Path) -> None:
    folder = changed(tmp_path / "model", "config.json")
    (folder / file).write_text("[]")
    if file == "adapter_config.json":
        (folder / "config.json").unlink()
    assert told(folder) == [f"{folder / file}: a JSON list\n  expected: one JSON object"]


def test_every_front_door_names_what_is_wrong(write_recipe: Write, tmp_path: Path) -> None:
    """An adapter alone, a token without its text, weights without their tokenizer, a folder called
    model.safetensors: `check`, `plan` and `data` all go through `check_base_model`."""
    lone = tmp_path / "lone"
    lone.mkdir()
    write_json(lone / "adapter_config.json", {"base_model_name_or_path": "google/gemma-2b"})
    wordless = changed(tmp_path / "wordless", "tokenizer_config.json", bos_token={"id": 2})
    tokenless = changed(tmp_path / "tokenless", "config.json")
    (tokenless / "tokenizer.json").unlink()
    odd = changed(tmp_path / "odd", "config.json")
    (odd / "model.safetensors").unlink()
    (odd / "model.safetensors").mkdir()
    expected = {
        lone: "an adapter alone",
        wordless: "`bos_token` is {'id': 2}",
        tokenless: "no tokenizer.json",
        odd: "a folder",
    }
    for folder, found in expected.items():
        recipe = load(write_recipe((MADE, f"base_model: {folder}\n")))
        for stages in (["plan"], ["data"], ["sft"]) if folder != odd else (["sft"],):
            with pytest.raises(UserError, match=re.escape(found)):
                check_base_model(recipe, Run(tmp_path / "run"), stages)


@pytest.mark.parametrize("name", ["consolidated", "consolidated-00001-of-00002", "adapter_model"])
def test_what_lies_beside_the_weights_is_no_part_of_them(name: str, tmp_path: Path) -> None:
    """Neither when the folder is looked at nor when it is merged: an adapter's left-over file came
    into the model."""
    folder = changed(tmp_path / "model", "config.json")
    names = set(Tensors(folder))
    save_file({"base_model.model.x.lora_A.weight": torch.ones(1)}, folder / f"{name}.safetensors")
    assert told(folder) == []
    assert set(Tensors(folder)) == names


def test_a_made_models_stop_token_is_looked_at_before_it_is_made(
    write_recipe: Write, tmp_path: Path
) -> None:
    path = write_recipe()
    template = path.parent / load(path).chat_template
    check_base_model(load(path), Run(tmp_path / "run"), ["base"])
    template.write_text(template.read_text().replace("eos_token", "'<|im_end|>'"))
    with pytest.raises(
        UserError,
        match=r"an answer ends with '<\|im_end\|>', which is no special token of this model",
    ):
        check_base_model(load(path), Run(tmp_path / "run"), ["data"])
