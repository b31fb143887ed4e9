"""Activations and logits: by hand, and against what autograd really keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, product
from typing import Any

import pytest

from stemma.plan.activations import TRL_TILE, activation_bytes, layer_bytes, logit_bytes, uses_eager
from stemma.plan.settings import CostSettings
from stemma.shapes import ATTENTION, MLP, PUBLISHED, parse
from tests.factories.shapes import DPO, GEMMA_2B, SFT

ALL, QUERY_VALUE = (*ATTENTION, *MLP), ("q_proj", "v_proj")


def test_a_layer_of_gemma_2b_by_hand() -> None:
    norms = 2 * 2048 * 4
    attention = (
        2048 + 256 + 256 + 2048 + 1024
    ) * 2 + 8 * 4  # one key head is not repeated; a mask of 1,024 tokens
    mlp = 3 * 16_384 * 2
    two = 2 * 2048 * 2 + 2 * 8 * 2
    assert layer_bytes(DPO) == norms + attention + mlp + two
    assert activation_bytes(DPO) == 8 * 1024 * (18 * layer_bytes(DPO) + 2048 * 4)
    # All seven: six inputs of 2,048 and one of 16,384, each in a copy of its own.
    every = layer_bytes(replace(DPO, targets=ALL))
    assert every - layer_bytes(DPO) == (4 * 2048 + 16_384) * 2 + 5 * 8 * 2
    assert 1.3 < every / layer_bytes(DPO) < 1.4


def test_eager_attention_keeps_heads_times_length() -> None:
    gemma2 = parse(PUBLISHED["google/gemma-2-2b"], "published")
    capped = replace(DPO, shapes=gemma2, eager=True)
    # 8 heads x 1,024 scores: the tanh of the cap in bf16, the softmax in fp32, its copy in bf16.
    assert layer_bytes(capped) - layer_bytes(replace(capped, length=0)) == 8 * 1024 * (2 + 4 + 2)
    assert layer_bytes(
        replace(capped, shapes=replace(gemma2, family=GEMMA_2B.family))
    ) < layer_bytes(capped)
    assert [uses_eager(gemma2, asked) for asked in (None, "eager", "sdpa")] == [True, True, False]
    assert not uses_eager(GEMMA_2B, None)


def test_ligers_kernels_keep_less() -> None:
    liger = replace(DPO, liger=frozenset({"rms_norm", "glu_activation"}))
    # Two norms keep 2,048 in bf16 instead of fp32, the MLP two of its three.
    assert layer_bytes(DPO) - layer_bytes(liger) == 2 * 2048 * 2 + 16_384 * 2


def test_a_joined_pair_is_one_longer_sequence() -> None:
    joined = replace(DPO, shared=True, answers=0.5)
    # Four pairs of 512 + 2 x 512 tokens instead of eight sequences of 1,024.
    assert (joined.passes, joined.passed_length) == (4, 1536)
    assert activation_bytes(joined) / activation_bytes(DPO) == pytest.approx(6144 / 8192, rel=0.02)


def test_checkpointing_keeps_inputs_and_one_layer() -> None:
    kept, norm = activation_bytes(replace(DPO, checkpointing=True)), 2048 * 4
    assert kept == 8 * 1024 * (18 * 2048 * 2 + layer_bytes(DPO) + norm)


def test_logits_their_log_softmax_and_the_gradients_of_both() -> None:
    assert logit_bytes(replace(SFT, bytes=4, sequences=1)) == 1024 * 256_000 * 4 * 4
    assert logit_bytes(replace(SFT, sequences=1)) == 1024 * 256_000 * (2 + 3 * 4)
    assert logit_bytes(replace(DPO, bytes=4, sequences=1)) == 1024 * 256_000 * 24


def test_chunked_logits_are_two_tiles_and_hidden_states_of_answers() -> None:
    chunked = replace(DPO, logits="stemma", answers=0.5)
    assert logit_bytes(chunked) == 3 * 4 * 1024 * 2048 * 4 + 2 * 256 * 2**20
    assert logit_bytes(replace(chunked, cpu=True)) == 3 * 4 * 1024 * 2048 * 4 + 2 * 8 * 2**20
    assert (
        logit_bytes(replace(chunked, sequences=1, length=8))
        == 3 * 4 * 2048 * 4 + 2 * 4 * 256_000 * 4
    )


def test_trls_chunked_path_holds_six_tiles_and_answers_states() -> None:
    chunked = replace(DPO, logits="trl", answers=0.5)
    # 4,096 answer tokens: 2,048 x 8,192 logits once in bf16, five times in fp32; of each token
    # 2,048 values in both.
    assert logit_bytes(chunked) == 2048 * 8192 * (2 + 5 * 4) + 4096 * 2048 * (2 + 4)
    capped = replace(chunked, shapes=parse(PUBLISHED["google/gemma-2-2b"], "published"))
    assert logit_bytes(capped) == 2048 * 8192 * (2 + 6 * 4) + 4096 * 2304 * (2 + 4)
    whole = replace(chunked, rank=0, targets=())
    assert logit_bytes(whole) - logit_bytes(chunked) == 256_000 * 2048 * 4


@pytest.mark.slow
@pytest.mark.parametrize("cap", [None, 30.0])
@pytest.mark.parametrize("whole", [False, True])
def test_trls_tiles_are_what_torch_allocates(cap: float | None, whole: bool) -> None:
    import torch
    from trl.trainer.utils import _ChunkedLogProbFunction

    rows, vocabulary, wide = 3000, 20_000, 64
    hidden = torch.randn(rows, wide, requires_grad=True)
    head, labels = (
        torch.randn(vocabulary, wide, requires_grad=whole),
        torch.randint(0, vocabulary, (rows,)),
    )
    with torch.profiler.profile(profile_memory=True) as profile:
        states = hidden[torch.ones(rows, dtype=torch.bool)]
        logps, _ = _ChunkedLogProbFunction.apply(
            states, head, None, labels, 1.0, TRL_TILE[1], cap, 1.0
        )
        logps.sum().backward()
    published = PUBLISHED["google/gemma-2-2b" if cap else "google/gemma-2b"]
    shapes = replace(parse(published, "published"), vocabulary=vocabulary, hidden=wide)
    training = replace(
        DPO, shapes=shapes, bytes=4, logits="trl", sequences=1, length=rows, rank=0 if whole else 8
    )
    assert logit_bytes(training) == pytest.approx(_peak(profile), rel=0.05)


def _peak(profile: Any) -> int:
    """Most bytes alive at once of what was allocated while torch's profiler ran."""
    events = [
        event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"
    ]
    return max(
        accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    )


def test_ligers_logits_are_a_chunk_and_the_gradient_of_the_hidden_states() -> None:
    fused = replace(SFT, logits="liger", sequences=4)
    # 4,096 positions in at most 125 chunks (256,000 / 2,048) are 32.8 a chunk, and the next power
    # of 2 is 64.
    assert logit_bytes(fused) == (4096 * 2048 + 64 * 256_000) * 2


SIZES = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
}
KINDS = {
    "gemma": "sdpa",
    "gemma2": "eager",
    "gemma3_text": "sdpa",
    "llama": "sdpa",
    "qwen2": "sdpa",
    "qwen3": "eager",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_what_autograd_keeps(kind: str) -> None:
    for targets, half, (dropout, length) in product(
        (QUERY_VALUE, ALL, ()), (True, False), ((0.0, 128), (0.1, 64))
    ):
        model, training = _made(kind, targets, half, dropout)
        expected = activation_bytes(replace(training, length=length))
        assert expected == pytest.approx(_kept(model, length, half), rel=0.1), (
            targets,
            half,
            dropout,
        )


def _made(
    kind: str, targets: Sequence[str], half: bool, dropout: float
) -> tuple[Any, CostSettings]:
    """A model as Axolotl trains it (the adapter in fp32, the rest under autocast), and what is
    known of it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config, dtype = AutoConfig.for_model(kind, **SIZES), torch.bfloat16 if half else torch.float32
    model: Any = AutoModelForCausalLM.from_config(
        config, dtype=dtype, attn_implementation=KINDS[kind]
    )
    if targets:
        lora = LoraConfig(r=8, target_modules=list(targets), lora_dropout=dropout)
        model = get_peft_model(model, lora).base_model.model
    shapes = parse(config.to_dict() | {"dtype": "float32"}, "x")
    return model.train(), replace(
        SFT,
        shapes=shapes,
        rank=8 if targets else 0,
        targets=tuple(targets),
        bytes=2 if half else 4,
        sequences=2,
        eager=KINDS[kind] == "eager",
        dropout=bool(targets and dropout),
        cpu=True,
    )


def _kept(model: Any, length: int, half: bool) -> int:
    """Bytes of all that autograd saves of two sequences, one of them padded, weights aside."""
    import torch

    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    ids, mask = torch.randint(0, 512, (2, length)), torch.ones(2, length, dtype=torch.long)
    mask[0, -3:] = 0
    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        hidden = model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    assert hidden.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
