"""Random weights of a model's true shapes, in bfloat16: what a rehearsal trains on.

They are no trained model's, but they behave like one where a gate looks: each token predicts itself
with a probability of more than a half, the rest is spread over the vocabulary, and every layer adds
a little to it. So quantising, merging and training move the predictions measurably without turning
them over, as with real weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.jsonl import write_json

SHARD_BYTES = 1 << 30
"""Of one file, at most."""
EMBEDDING_STD = 0.05
"""The standard deviation of the embedding's weights."""
LIKELY = 1.2
"""How far a token's own logit lies above the others' sum, in nats.

It then has some 70 % of the probability.
"""
INPUT_RMS = 0.3
"""The root mean square (rms) of what a layer's input matrices make of a normed vector."""
LAYERS_SHARE = 0.5
"""What all layers together add, as a share of the embedding they add to."""
GATED_RMS = 0.03
"""The rms of an activated gate times its partner, both of INPUT_RMS: about 0.35 x 0.3 x 0.3."""
POST_NORMS = ("post_attention_layernorm", "post_feedforward_layernorm")
"""The norms of what a layer adds, in Gemma 2 and 3.

Elsewhere `post_attention_layernorm` norms the MLP's input.
"""
OUTPUTS = {"o_proj": INPUT_RMS, "down_proj": GATED_RMS}
"""Matrices that write into the residual stream, and the rms of what they read."""


@dataclass(frozen=True)
class Spread:
    """The mean and standard deviation that one tensor is drawn with."""

    mean: float
    std: float


def spreads(config: Any, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Spread]:
    """Mean and deviation of every tensor of a decoder with RMS norms, by name. Pure."""
    gemma = config.model_type.startswith("gemma")
    stream = EMBEDDING_STD * (math.sqrt(config.hidden_size) if gemma else 1.0)
    added = LAYERS_SHARE * stream / math.sqrt(2 * config.num_hidden_layers)
    post_normed = config.model_type in ("gemma2", "gemma3_text")
    # The final norm sees the embedding with what the layers added.
    diluted = math.sqrt(1 + LAYERS_SHARE**2)
    final = (math.log(config.vocab_size) + LIKELY) * diluted / (EMBEDDING_STD * config.hidden_size)
    unit = 1.0 if gemma else 0.0  # Gemma's norms multiply by 1 + weight

    def one(name: str, shape: tuple[int, ...]) -> Spread:
        module = name.removesuffix(".weight").rsplit(".", 1)[-1]
        if module in ("embed_tokens", "lm_head"):
            return Spread(0.0, EMBEDDING_STD)
        if name == "model.norm.weight":
            return Spread(final - unit, 0.0)
        if len(shape) == 1:
            scale = added if post_normed and module in POST_NORMS else 1.0
            return Spread(0.0 if name.endswith(".bias") else scale - unit, 0.0)
        if module in OUTPUTS and not post_normed:
            return Spread(0.0, added / (OUTPUTS[module] * math.sqrt(shape[1])))
        return Spread(0.0, INPUT_RMS / math.sqrt(shape[1]))

    return {name: one(name, shape) for name, shape in shapes.items()}


def write_weights(config: Any, seed: int, folder: Path) -> int:
    """Write model-….safetensors and their index; returns the number of weights. Holds one shard at
    a time."""
    import torch
    from safetensors.torch import save_file

    shapes = tensor_shapes(config)
    drawn = spreads(config, shapes)
    shards = list(_shards(shapes))
    index: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors = {name: _draw(shapes[name], drawn[name], _seed(name, seed)) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(names, file)
        del tensors
    count = sum(math.prod(shape) for shape in shapes.values())
    total = {"total_size": count * torch.bfloat16.itemsize}
    write_json(folder / "model.safetensors.index.json", {"metadata": total, "weight_map": index})
    return count


def tensor_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor that is saved, by name: a tied head is not.

    Notes the model's class in `config`.
    """
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    config.architectures = [type(model).__name__]
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    return {name: tuple(p.shape) for name, p in model.named_parameters() if name not in tied}


def _shards(shapes: Mapping[str, tuple[int, ...]]) -> Iterator[list[str]]:
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        if names and size + 2 * math.prod(shape) > SHARD_BYTES:
            yield names
            names = []
            size = 0
        names.append(name)
        size += 2 * math.prod(shape)
    yield names


def _seed(name: str, seed: int) -> int:
    """The seed of one tensor.

    Each has its own, but an untied head is the embedding: a token shall predict itself there too.
    """
    import zlib

    drawn_as = "model.embed_tokens.weight" if name == "lm_head.weight" else name
    return zlib.crc32(f"{seed}/{drawn_as}".encode())


def _draw(shape: tuple[int, ...], spread: Spread, seed: int) -> Any:
    """Draw a tensor, block of rows by block.

    A float32 copy of 256,000 rows would be the largest thing held.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    tensor = torch.empty(shape, dtype=torch.bfloat16)
    for block in tensor.split(4096):
        if spread.std:
            values = torch.randn(block.shape, generator=generator)
            block.copy_(values.mul_(spread.std).add_(spread.mean))
        else:
            block.fill_(spread.mean)
    return tensor
