"""A rehearsal's model: the base model's own config, random weights, a tokenizer; whole or not there
at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemma.base_model.folder import problems_of
from stemma.jsonl import read_json
from stemma.rehearsal import made_model
from stemma.rehearsal.changes import Machine
from stemma.rehearsal.fitting import Rehearsal, Request, fit
from tests.conftest import Write
from tests.factories.recipes import MADE

LAPTOP = Machine(10**11, 10**12, bfloat16=False, gpu=False)
CORPUS = ("  corpus: {sources: [{source: from_sets}]}\n", "")
TARGETS = ("  lora_r: 8\n", "  lora_r: 8\n  lora_target_modules: [q_proj, v_proj]\n")


def settled(write: Write, folder: Path, layers: int | None = None) -> Rehearsal:
    path = write((MADE, f"base_model: {folder}\n"), CORPUS, TARGETS)
    return fit(Request(str(path), [], folder.parent / "runs", layers), LAPTOP)


def write_config(folder: Path, kind: str, **settings: Any) -> Path:
    from transformers import AutoConfig

    sizes = {
        "vocab_size": 3000,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
    }
    AutoConfig.for_model(kind, **(sizes | settings)).save_pretrained(folder)
    return folder


def make(found: Rehearsal) -> str:
    return made_model.make(found.config, found.full, found.recipe, found.run, lambda _: None)


def test_it_is_what_the_base_model_is(write_recipe: Write, tmp_path: Path) -> None:
    folder = write_config(
        tmp_path / "base", "gemma3_text", sliding_window=128, tie_word_embeddings=True
    )
    found = settled(write_recipe, folder, layers=4)
    assert make(found) == "done"
    config = read_json(found.model / "config.json")
    assert (config["sliding_window"], config["num_hidden_layers"], len(config["layer_types"])) == (
        128,
        4,
        4,
    )
    assert (config["vocab_size"], config["dtype"]) == (3000, "bfloat16")
    assert config["architectures"] == ["Gemma3ForCausalLM"]
    assert read_json(found.model / "generation_config.json")["eos_token_id"] == [1, 107]
    assert problems_of(found.model) == ()
    assert not (found.run.root / ".model.part").exists()
    assert not (found.run.root / ".config").exists()


def test_it_is_made_once_and_anew_when_another_is_asked_for(
    write_recipe: Write, tmp_path: Path
) -> None:
    folder = write_config(tmp_path / "base", "gemma", tie_word_embeddings=True)
    found = settled(write_recipe, folder)
    (found.run.root / ".model.part").mkdir(parents=True)
    (found.run.root / ".model.part" / "torn").touch()
    assert make(found) == "done"
    assert not (found.model / "torn").exists()
    weights = (found.model / "model-00001-of-00001.safetensors").read_bytes()
    assert make(found) == "up to date"
    assert make(settled(write_recipe, folder, layers=2)) == "done"
    assert make(found) == "done"
    assert (found.model / "model-00001-of-00001.safetensors").read_bytes() == weights, (
        "the same by the same seed"
    )


def test_the_real_tokenizer_is_taken_where_it_lies(write_recipe: Write, tmp_path: Path) -> None:
    from tests.factories.models import make_gemma

    folder = make_gemma(tmp_path / "base", hidden=32)
    found = settled(write_recipe, folder)
    assert made_model.has_weights(found.full, found.run)
    make(found)
    for name in ("tokenizer.json", "tokenizer.model"):
        assert (found.model / name).read_bytes() == (folder / name).read_bytes()
    assert problems_of(found.model) == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "vocabulary"), [("qwen2", 151936), ("qwen3", 151936), ("llama", 128256)]
)
def test_byte_pairs_make_a_whole_model(
    kind: str, vocabulary: int, write_recipe: Write, tmp_path: Path
) -> None:
    folder = write_config(tmp_path / "base", kind, vocab_size=vocabulary, tie_word_embeddings=True)
    found = settled(write_recipe, folder)
    make(found)
    assert problems_of(found.model) == ()
