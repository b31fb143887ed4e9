"""Costs: FLOPs against the hand-computed floors of the report's runs, memory against what autograd really keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stemma.costs import (
    Training,
    activation_bytes,
    export_bytes,
    forward_flops,
    gguf_bytes,
    left_bytes,
    logit_bytes,
    memory,
    training_flops,
    weight_bytes,
)  # fmt: skip
from stemma.shapes import PUBLISHED, parse

GEMMA_2B = parse(PUBLISHED["google/gemma-2b"], "published")
DPO = Training(
    shapes=GEMMA_2B, rank=8, targets=("q_proj", "v_proj"), preference=True, precomputed=False, checkpointing=False,
    chunked=False, fused=False, length=1024, sequences=8, bytes=2, quantised=None, moments=8, zero=1, gpus=1,
)  # fmt: skip
SFT = replace(DPO, preference=False)
H200 = 790e12
"""FLOP/s of bf16 matrix products, measured."""


def test_forward_by_hand() -> None:
    # A token: 2 x (2,506,135,552 weights in products) + 2 x 18 layers x 350 tokens x 2,048 wide.
    a_token = 2 * 2_506_098_688 + 2 * 18 * 350 * 2048
    assert GEMMA_2B.linear_parameters() == 18 * 110_100_480 == 1_981_808_640
    assert GEMMA_2B.linear_parameters() + GEMMA_2B.embedding() == 2_506_096_640
    assert forward_flops(GEMMA_2B, 1, 350) == a_token - 2 * 2048


def test_floors_of_the_reports_runs() -> None:
    tokens = 10_400 * 2 * 350 * 3
    assert round(training_flops(DPO, tokens, 3, 350) / H200) == 419
    assert round(training_flops(replace(DPO, precomputed=True), tokens, 3, 350) / H200) == 326
    assert round(training_flops(SFT, 28_000 * 350 * 4, 4, 350) / H200) in (501, 502)


def test_full_training_is_6nd_and_checkpointing_one_forward_more() -> None:
    full = replace(SFT, rank=0, targets=())
    forward = forward_flops(GEMMA_2B, 1000, 350)
    assert training_flops(full, 1000, 1, 350) == 3 * forward
    assert training_flops(replace(full, checkpointing=True), 1000, 1, 350) == 4 * forward


def test_memory_by_hand() -> None:
    need = memory(DPO)
    assert need.weights == 2 * 2_506_172_416
    assert need.adapter == 2 * 4 * 921_600, "weights and gradients in fp32"
    assert need.optimizer == 8 * 921_600
    assert need.logits == 8 * 1024 * 256_000 * 2 * (2 + 4)
    a_token = 18 * (4 * 2048 + 2 * 2048 + 2 * 256 + 4 * 16_384) * 2
    assert need.activations == 8 * 1024 * a_token
    assert need.total == sum((need.weights, need.adapter, need.optimizer, need.logits, need.activations))


def test_zero_shards_moments_then_gradients_then_weights() -> None:
    full = replace(SFT, rank=0, targets=(), gpus=4)
    count = GEMMA_2B.parameters()
    states = [memory(replace(full, zero=stage)) for stage in range(4)]
    assert [s.optimizer / count for s in states] == [12, 3, 3, 3], "two moments and an fp32 copy"
    assert [s.adapter / count for s in states] == [2, 2, 0.5, 0.5]
    assert [s.weights / count for s in states] == [2, 2, 2, 0.5]


def test_checkpointing_keeps_inputs_and_one_layer() -> None:
    kept, layer = activation_bytes(replace(DPO, checkpointing=True)), activation_bytes(DPO) // 18
    assert kept - layer == 8 * 1024 * 18 * 2048 * 2


def test_full_precision_has_no_second_copy_of_the_logits() -> None:
    assert logit_bytes(replace(SFT, bytes=4, sequences=1)) == 1024 * 256_000 * 2 * 4


def test_chunked_logits_are_a_tile_and_the_gradient_of_the_hidden_states() -> None:
    chunked = replace(DPO, chunked=True)
    assert logit_bytes(chunked) == 8 * 1024 * 2048 * 4 + 256 * 2**20
    assert logit_bytes(replace(chunked, sequences=1, length=4)) == 4 * 2048 * 4 + 4 * 256_000 * 4


def test_ligers_logits_are_a_chunk_and_the_gradient_of_the_hidden_states() -> None:
    fused = replace(SFT, fused=True, sequences=4)
    # 4,096 positions in at most 125 chunks (256,000 / 2,048) are 32.8 a chunk, and the next power of 2 is 64.
    assert logit_bytes(fused) == (4096 * 2048 + 64 * 256_000) * 2


def test_what_a_stage_leaves() -> None:
    assert left_bytes(DPO) == left_bytes(SFT) == 921_600 * 4 + 2 * 2_506_172_416


def test_files_of_gemma_2b() -> None:
    sizes = {kind: gguf_bytes(GEMMA_2B, kind) for kind in ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")}
    assert {kind: round(size / 1e9, 2) for kind, size in sizes.items()} == {
        "Q8_0": 2.66, "Q6_K": 2.06, "Q5_K_M": 1.83, "Q4_K_M": 1.62,
    }  # fmt: skip
    assert [round(weight_bytes(GEMMA_2B, kind, 2) / 1e9, 2) for kind in ("int8", "nf4")] == [3.03, 2.07]
    asked: dict[str, Any] = {"merge": {"dtype": "float32"}, "bitsandbytes": ["nf4"], "gguf": {"types": ["F16"]}}
    assert export_bytes(GEMMA_2B, asked) == {
        "merged": 4 * 2_506_172_416, "bnb-nf4": weight_bytes(GEMMA_2B, "nf4", 2), "gguf-F16": 2 * 2_506_172_416,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gemma", "gemma3_text", "llama", "qwen2"])
def test_activations_are_what_autograd_keeps(kind: str) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"vocab_size": 512, "hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4,
             "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 64}  # fmt: skip
    config = AutoConfig.for_model(kind, **sizes)
    bare = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
    model: Any = get_peft_model(bare, LoraConfig(r=8, target_modules=["q_proj", "v_proj"]))
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        _ = model.base_model.model.model(torch.randint(0, 512, (2, 128))).last_hidden_state
    training = replace(SFT, shapes=parse(config.to_dict() | {"dtype": "bfloat16"}, "x"), length=128, sequences=2)
    assert 0.9 < sum(kept.values()) / activation_bytes(training) < 1.35
