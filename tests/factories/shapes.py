"""Sizes of models, and trainings of them as `plan` reckons with them."""

from __future__ import annotations

from dataclasses import replace

from stemma.plan.settings import CostSettings
from stemma.shapes import PUBLISHED, parse

SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
}
"""A small model's, by the names of config.json."""

GEMMA_2B = parse(PUBLISHED["google/gemma-2b"], "published")

DPO = CostSettings(
    shapes=GEMMA_2B,
    rank=8,
    targets=("q_proj", "v_proj"),
    preference=True,
    precomputed=False,
    checkpointing=False,
    logits="all",
    length=1024,
    sequences=8,
    bytes=2,
    quantised=None,
    moments=8,
    zero=1,
    gpus=1,
)
"""The stock trainer's, on one GPU in bfloat16."""

SFT = replace(DPO, preference=False)
