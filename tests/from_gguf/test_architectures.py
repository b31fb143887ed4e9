"""The meaning of a header to transformers: configs, names, and the layouts the converter changed, by
hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemma.errors import UserError
from stemma.from_gguf.architectures import (
    ARCHITECTURES,
    LLAMA3_ROPE,
    ROPE_FACTORS,
    config_of,
    llama3_factors,
    original,
    weight_names,
)
from stemma.from_gguf.header import GgufFile, Tensor, read_gguf
from tests.from_gguf.files import write_gguf

SIZES = {
    "context_length": 8192,
    "block_count": 26,
    "embedding_length": 1152,
    "feed_forward_length": 6912,
    "attention.head_count": 4,
    "attention.head_count_kv": 1,
    "attention.layer_norm_rms_epsilon": 9.999999974752427e-07,
    "attention.key_length": 256,
    "attention.value_length": 256,
}


def made(name: str, own: dict[str, float], tensors: dict[str, Tensor] | None = None) -> GgufFile:
    """A header of an architecture with Gemma 3 1B's sizes."""
    fields = {f"{name}.{key}": value for key, value in (SIZES | own).items()}
    tokens = {
        "tokenizer.ggml.tokens": ["a", "b"],
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.eos_token_id": 1,
    }
    return GgufFile(
        Path("x.gguf"), {"general.architecture": name, **fields, **tokens}, tensors or {}
    )


def test_a_config_by_hand(tmp_path: Path) -> None:
    assert config_of(read_gguf(write_gguf(tmp_path / "x.gguf"))) == {
        "max_position_embeddings": 256,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-05,
        "vocab_size": 265,
        "head_dim": 16,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
    }


def test_gemma_3_has_two_rotary_bases() -> None:
    own = {"rope.freq_base": 1e6, "rope.freq_base_swa": 1e4, "attention.sliding_window": 512}
    config = config_of(made("gemma3", own))
    assert config["rope_parameters"] == {
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    assert (config["sliding_window"], config["query_pre_attn_scalar"], config["rms_norm_eps"]) == (
        512,
        256,
        1e-06,
    )
    assert "rope_local" not in config


@pytest.mark.parametrize(
    ("name", "layers", "scalar"), [("gemma2", 46, 1152 // 4), ("gemma2", 42, 256)]
)
def test_gemma_2s_largest_scales_by_another_size(name: str, layers: int, scalar: int) -> None:
    own = {"block_count": layers, "attention.sliding_window": 4096, "attn_logit_softcapping": 50.0}
    config = config_of(made(name, own))
    assert (config["query_pre_attn_scalar"], config["attn_logit_softcapping"]) == (scalar, 50.0)


def test_llama_3_stretches_its_long_waves() -> None:
    factors = llama3_factors(LLAMA3_ROPE | {"factor": 32.0}, 500000.0, 64)
    assert len(factors) == 32
    # A wave of 2 pi positions turns 1,304 times in 8,192 of them: not stretched. The longest, 2 pi
    # 500000^(31/32), turns not once: by the whole factor.
    assert (factors[0], factors[-1]) == (1.0, 32.0)
    # Between 1 and 4 turns it goes over: wave 2 pi 500000^(17/32) = 6,695.1 turns 1.22358 times, so
    # that `smooth` is 0.22358 / 3.
    assert factors[17] == pytest.approx(1 / ((1 - 0.22358 / 3) / 32 + 0.22358 / 3), rel=1e-4)


def test_llama_3s_factors_become_the_config_that_they_come_from() -> None:
    values = llama3_factors(LLAMA3_ROPE | {"factor": 32.0}, 500000.0, 256).astype(np.float32)
    tensors = {ROPE_FACTORS: Tensor(ROPE_FACTORS, "F32", (128,), values)}
    config = config_of(made("llama", {"rope.freq_base": 500000.0}, tensors))
    assert config["rope_parameters"] == LLAMA3_ROPE | {"factor": 32.0, "rope_theta": 500000.0}
    tensors[ROPE_FACTORS].stored[40] += 0.1
    with pytest.raises(UserError, match=r"rope_freqs.weight is not Llama 3's"):
        config_of(made("llama", {"rope.freq_base": 500000.0}, tensors))


def test_interleaved_heads_are_laid_apart_again() -> None:
    # Two heads of four rows: the converter put the halves of each side by side.
    stored = np.array([[0, 2, 1, 3, 10, 12, 11, 13]], dtype=np.float32).T
    config = {"num_attention_heads": 2, "num_key_value_heads": 4}
    values = original(
        Tensor("blk.0.attn_q.weight", "F32", (8, 1), stored), config, ARCHITECTURES["llama"]
    )
    assert values[:, 0].tolist() == [0, 1, 2, 3, 10, 11, 12, 13]
    again = original(
        Tensor("blk.0.attn_q.weight", "F32", (8, 1), stored), config, ARCHITECTURES["qwen2"]
    )
    assert again[:, 0].tolist() == stored[:, 0].tolist()


def test_gemmas_norms_lose_the_one_that_was_added() -> None:
    norm = Tensor("blk.0.attn_norm.weight", "F32", (2,), np.array([1.5, 0.25], dtype=np.float32))
    assert original(norm, {}, ARCHITECTURES["gemma"]).tolist() == [0.5, -0.75]
    assert original(norm, {}, ARCHITECTURES["llama"]).tolist() == [1.5, 0.25]


def test_names_and_shapes_must_match_on_both_sides(tmp_path: Path) -> None:
    gguf = read_gguf(write_gguf(tmp_path / "x.gguf", tensors={"blk.1.ffn_up.weight": None}))
    wanted = {
        "model.layers.1.mlp.up_proj.weight": (128, 64),
        "model.embed_tokens.weight": (265, 32),
    }
    with pytest.raises(UserError) as failure:
        weight_names(gguf, wanted)
    said = str(failure.value)
    assert "tensor blk.1.ffn_up.weight is missing\n  expected: (128, 64), by the header" in said
    assert "tensor token_embd.weight is (265, 64)\n  expected: (265, 32), by the header" in said
    assert (
        "tensor blk.0.attn_k.weight is (32, 64)\n  expected: no such tensor, by the header" in said
    )
