"""Random weights: shapes of the real classes, the same by the same seed, predictions like a trained
model's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stemma.rehearsal import random_model
from stemma.rehearsal.random_model import spreads, tensor_shapes, write_weights
from tests.factories.shapes import SIZES

KINDS = ("gemma", "gemma2", "gemma3_text", "llama", "qwen2", "qwen3")


def config_of(kind: str, **settings: Any) -> Any:
    from transformers import AutoConfig

    sizes = SIZES | {
        "hidden_size": 256,
        "vocab_size": 2000,
        "dtype": "bfloat16",
        "tie_word_embeddings": True,
    }
    return AutoConfig.for_model(kind, **(sizes | settings))


def write(folder: Path, config: Any, seed: int = 1) -> Path:
    folder.mkdir()
    write_weights(config, seed, folder)
    config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tied", [True, False])
def test_each_family_loads_and_predicts(kind: str, tied: bool, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    config = config_of(kind, tie_word_embeddings=tied)
    folder = write(tmp_path / kind, config)
    model, loaded = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True
    )
    assert not loaded["missing_keys"]
    assert not loaded["unexpected_keys"]
    ids = torch.arange(10, 42)[None]
    with torch.no_grad():
        logits = model.eval()(ids).logits[0]
    likely = logits.softmax(-1).gather(-1, ids[0][:, None])
    assert bool(torch.isfinite(logits).all())
    assert bool((logits.argmax(-1) == ids[0]).all()), "each token predicts itself"
    assert 0.3 < likely.mean() < 0.95, "and leaves something to the others"


def test_the_seed_decides(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folders = [
        write(tmp_path / name, config_of("llama"), seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    a, b, c = (load_file(folder / "model-00001-of-00001.safetensors") for folder in folders)
    assert all(a[name].equal(b[name]) for name in a)
    assert not a["model.embed_tokens.weight"].equal(c["model.embed_tokens.weight"])
    assert {str(tensor.dtype) for tensor in a.values()} == {"torch.bfloat16"}


def test_shards_hold_every_tensor_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors import safe_open

    monkeypatch.setattr(random_model, "SHARD_BYTES", 300_000)
    config = config_of("gemma")
    folder = write(tmp_path / "m", config)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) > 3
    held = {}
    for path in files:
        with safe_open(path, "pt") as file:
            held |= dict.fromkeys(file.keys(), path.name)
    assert held == index["weight_map"]
    assert held.keys() == tensor_shapes(config).keys()
    assert index["metadata"]["total_size"] == sum(path.stat().st_size for path in files) - sum(
        8 + int.from_bytes(path.read_bytes()[:8], "little") for path in files
    )


def test_norms_and_outputs_by_hand() -> None:
    config = config_of("gemma", num_hidden_layers=2)
    drawn = spreads(config, tensor_shapes(config))
    assert drawn["model.layers.0.input_layernorm.weight"].mean == 0, (
        "Gemma's norms multiply by 1 + weight"
    )
    assert drawn["model.layers.0.self_attn.q_proj.weight"].std == pytest.approx(0.3 / 16), (
        "256 inputs"
    )
    # The stream is 0.05 x 16; four additions of a quarter of it make half in all.
    assert drawn["model.layers.0.self_attn.o_proj.weight"].std == pytest.approx(0.2 / (0.3 * 8)), (
        "4 x 16 inputs"
    )
    llama = config_of("llama")
    assert spreads(llama, tensor_shapes(llama))["model.layers.0.input_layernorm.weight"].mean == 1
