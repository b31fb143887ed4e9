"""The sizes of the GPU bench: Gemma 2B's, and a small model's to try the same code on a CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bench.dpo_setting import GEMMA_2B, Setting
from stemma.shapes import Shapes, parse

SMALL = Setting(hidden=64, layers=1, vocabulary=4000, rows=16)
STEPS = 32
SEED = 0


def choose(device: str, small: bool) -> Setting:
    """The rows are whole steps of one epoch: however a trainer orders them, all train the same."""
    setting = SMALL if small else replace(GEMMA_2B, rows=STEPS * GEMMA_2B.pairs)
    return replace(setting, device=device)


def model_config(setting: Setting) -> dict[str, Any]:
    """A config.json with these shapes."""
    return {
        "model_type": "gemma",
        "architectures": ["GemmaForCausalLM"],
        "vocab_size": setting.vocabulary,
        "hidden_size": setting.hidden,
        "intermediate_size": setting.intermediate,
        "num_hidden_layers": setting.layers,
        "num_attention_heads": setting.heads,
        "num_key_value_heads": 1,
        "head_dim": max(setting.hidden // setting.heads, 8),
        "max_position_embeddings": 8192,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
        "tie_word_embeddings": True,
        "dtype": str(setting.dtype).removeprefix("torch."),
    }


def model_shapes(setting: Setting) -> Shapes:
    return parse(model_config(setting), "the bench's setting")
