"""Costs: FLOPs against the hand-computed floors of the report's runs, sizes against what
bitsandbytes really saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stemma.digests import size_of
from stemma.from_gguf.header import gguf_py, read_gguf
from stemma.plan.costs import (
    export_bytes,
    forward,
    forward_flops,
    gguf_bytes,
    left_bytes,
    memory,
    training_flops,
    weight_bytes,
)
from stemma.shapes import PUBLISHED, Shapes, parse
from tests.factories.shapes import DPO, GEMMA_2B, SFT
from tests.from_gguf.files import vocabulary, weights, write_gguf

SMOLLM2 = replace(
    parse(PUBLISHED["meta-llama/Llama-3.2-1B"], "published"),
    vocabulary=49_152,
    hidden=576,
    inner=1536,
    layers=30,
    heads=9,
    key_value_heads=3,
    head_size=64,
)
F16 = 2 * 2_506_172_416 + 2 * 37 * 2048
"""Gemma 2B's file: its 37 norms are in float32."""
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


OURS = replace(DPO, precomputed=True, logits="stemma", answers=200 / 350)
"""Stemma's trainer on pairs of a prompt of 150 and answers of 200 tokens."""


def test_the_head_is_computed_for_answers_only() -> None:
    """A pair by hand: 700 positions in the layers, 400 in the head, attention 4 x 18 x 2,048 x 350
    x 350."""
    layers, head, attention = (
        2 * 1_981_808_640 * 700,
        2 * 524_288_000 * 400,
        4 * 18 * 2048 * 350 * 350,
    )
    one = forward(OURS, 700, 350)
    assert (one.positions, one.layers, one.head) == (700, layers, pytest.approx(head))
    assert one.attention == attention
    # Forward and the gradient of activations, the adapter thrice, and a third of a forward pass for
    # the reference.
    pair = 2 * (layers + head) + 3 * attention + 6 * 921_600 * 700 + (layers + head + attention) / 3
    floor = training_flops(OURS, 10_400 * 2 * 350 * 3, 3, 350)
    assert floor == pytest.approx(31_200 * pair)
    assert round(floor / H200) == 297


def test_trls_chunked_path_computes_the_answers_head_once_more() -> None:
    ours, stock = (
        training_flops(OURS, 700, 1, 350),
        training_flops(replace(OURS, logits="all"), 700, 1, 350),
    )
    chunked = training_flops(replace(OURS, logits="trl"), 700, 1, 350)
    head = 2 * 524_288_000  # a token
    assert chunked - ours == pytest.approx(400 * head)
    # All 700 positions against 400: forward, backward and the reference's; then the tiles of 400
    # again.
    assert stock - chunked == pytest.approx(3 * 300 * head - 400 * head)


def test_a_shared_prompt_is_computed_once() -> None:
    """150 + 2 x 200 positions; the prompt's keys once, and each answer's 200 tokens see it and
    themselves."""
    one, apart = forward(replace(OURS, shared=True), 700, 350), forward(OURS, 700, 350)
    assert one.positions == pytest.approx(550)
    assert one.layers == pytest.approx(2 * 1_981_808_640 * 550)
    assert one.head == pytest.approx(apart.head)
    assert one.attention == pytest.approx(
        4 * 18 * 2048 * (150 * 150 / 2 + 2 * (200 * 150 + 200 * 200 / 2))
    )


def test_full_training_is_6nd_and_checkpointing_the_layers_once_more() -> None:
    full = replace(SFT, rank=0, targets=())
    once = forward_flops(GEMMA_2B, 1000, 350)
    assert training_flops(full, 1000, 1, 350) == 3 * once
    layers_only = once - 1000 * 2 * 524_288_000
    assert training_flops(replace(full, checkpointing=True), 1000, 1, 350) == 3 * once + layers_only


def test_memory_by_hand() -> None:
    need = memory(DPO)
    assert need.weights == 2 * 2_506_172_416
    assert need.adapter == 2 * 4 * 921_600, "weights and gradients in fp32"
    assert need.optimizer == 8 * 921_600
    assert need.logits == 8 * 1024 * 256_000 * 16
    assert need.total == sum(
        (need.weights, need.adapter, need.optimizer, need.logits, need.activations)
    )


def test_zero_shards_moments_then_gradients_then_weights() -> None:
    full = replace(SFT, rank=0, targets=(), gpus=4)
    count = GEMMA_2B.parameters()
    states = [memory(replace(full, zero=stage)) for stage in range(4)]
    assert [s.optimizer / count for s in states] == [12, 3, 3, 3], "two moments and an fp32 copy"
    assert [s.adapter / count for s in states] == [2, 2, 0.5, 0.5]
    assert [s.weights / count for s in states] == [2, 2, 2, 0.5]


def test_what_a_stage_leaves() -> None:
    assert left_bytes(DPO) == left_bytes(SFT) == 921_600 * 4 + 2 * 2_506_172_416


def test_files_of_gemma_2b() -> None:
    sizes = {kind: gguf_bytes(GEMMA_2B, kind) for kind in ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")}
    assert {kind: round(size / 1e9, 2) for kind, size in sizes.items()} == {
        "Q8_0": 2.66,
        "Q6_K": 2.06,
        "Q5_K_M": 1.83,
        "Q4_K_M": 1.62,
    }
    assert [round(weight_bytes(GEMMA_2B, kind, 2) / 1e9, 2) for kind in ("int8", "nf4")] == [
        3.03,
        2.07,
    ]
    # The embedding and the norms, 524,363,776 weights, in float32: 1.05 GB more.
    assert weight_bytes(GEMMA_2B, "nf4", 4) - weight_bytes(GEMMA_2B, "nf4", 2) == 2 * (
        256_000 * 2048 + 37 * 2048
    )
    asked: dict[str, Any] = {
        "merge": {"dtype": "float32"},
        "bitsandbytes": ["nf4"],
        "gguf": {"types": ["F16"]},
    }
    assert export_bytes(GEMMA_2B, asked) == {
        "merged": 4 * 2_506_172_416,
        "bnb-nf4": weight_bytes(GEMMA_2B, "nf4", 4),
        "gguf-F16": F16,
    }


def test_rows_that_k_quants_cannot_hold() -> None:
    """SmolLM2 135M, rows of 576 = 2 x 256 + 64: bytes of all tensors in the files that llama.cpp
    made of it."""
    kinds = ("F16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")
    assert [gguf_bytes(SMOLLM2, kind) for kind in kinds] == [
        269_100_288,
        143_025_408,
        136_597_248,
        110_317_824,
        103_668_480,
    ]
    # A layer of rows of 24: no block holds them, so its matrices are in F16, but for down_proj with
    # rows of 32. The only layer is the last too, so that is Q6_K in the mixtures, and Q8_0 stands
    # in for it.
    odd = replace(
        SMOLLM2,
        hidden=24,
        inner=32,
        layers=1,
        heads=1,
        key_value_heads=1,
        head_size=24,
        vocabulary=10,
    )
    in_f16 = 10 * 24 + 4 * 24 * 24 + 2 * 24 * 32
    for kind in kinds[1:]:
        assert gguf_bytes(odd, kind) == in_f16 * 2 + 24 * 32 * 8.5 / 8 + 3 * 24 * 4


def named(shapes: Shapes) -> dict[str, Any]:
    """Random tensors of a model, named as llama.cpp does."""
    gguf, random = gguf_py(), np.random.default_rng(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, shapes.layers)
    return {
        names.get_name(name, try_suffixes=(".weight",)): random.normal(0, 0.1, size).astype(
            np.float32
        )
        for name, size in shapes.tensors().items()
    }


@pytest.mark.parametrize(("hidden", "inner"), [(96, 160), (256, 320), (320, 512)])
@pytest.mark.parametrize("tied", [True, False])
def test_files_are_as_large_as_llama_cpp_makes_them(
    hidden: int, inner: int, tied: bool, tmp_path: Path
) -> None:
    from export.quantise import quantise

    shapes = replace(
        SMOLLM2,
        hidden=hidden,
        inner=inner,
        layers=9,
        heads=2,
        key_value_heads=1,
        head_size=hidden // 2,
        vocabulary=len(vocabulary()),
        tied=tied,
    )
    source = write_gguf(
        tmp_path / "F32.gguf",
        {
            "llama.embedding_length": hidden,
            "llama.feed_forward_length": inner,
            "llama.block_count": 9,
            "llama.attention.head_count": 2,
            "llama.attention.head_count_kv": 1,
        },
        dict.fromkeys(weights()) | named(shapes),
    )
    for kind in ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M"):
        quantise(source, tmp_path / "x.gguf", kind, 1)
        found = read_gguf(tmp_path / "x.gguf")
        assert gguf_bytes(shapes, kind) == sum(one.stored.nbytes for one in found.tensors.values())


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_bitsandbytes_keeps_the_merges_dtype_beside_the_matrices(
    dtype: str, tied: bool, tmp_path: Path
) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from export.bnb import _config

    config = LlamaConfig(
        vocab_size=2048,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
    )
    LlamaForCausalLM(config).to(getattr(torch, dtype)).save_pretrained(tmp_path / "merged")
    shapes = parse(config.to_dict() | {"dtype": dtype}, "x")
    asked: dict[str, Any] = {
        "merge": {"dtype": dtype},
        "bitsandbytes": ["int8", "nf4"],
        "gguf": {"types": []},
    }
    for name, expected in export_bytes(shapes, asked).items():
        if name != "merged":
            model = LlamaForCausalLM.from_pretrained(
                tmp_path / "merged",
                quantization_config=_config(name.removeprefix("bnb-")),
                dtype="auto",
            )
            model.save_pretrained(tmp_path / name)
        assert size_of(tmp_path / name) == pytest.approx(expected, rel=0.03), name
