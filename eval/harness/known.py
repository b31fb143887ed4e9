"""Keys and values of tokens that a transformers model has read, kept to read on from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


class KeptLayer(DynamicLayer):
    """One layer's keys and values, to which reading on adds nothing that stays."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of the kept tokens with the new ones behind, for this pass only."""
        return (
            torch.cat([self.keys, key_states], dim=-2),
            torch.cat([self.values, value_states], dim=-2),
        )


def read(model: Any, tokens: Sequence[int]) -> DynamicCache:
    """The keys and values of a text, layer by layer: 2 x layers x KV heads x head size x bytes a
    token."""
    cache = DynamicCache()  # without the config: sliding layers keep all, and a mask hides it
    ids = torch.tensor([list(tokens)], device=model.device)
    with torch.inference_mode():
        model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    return cache


def kept(cache: DynamicCache) -> DynamicCache:
    """The same keys and values, unchanged by whatever is read on from them."""
    found = DynamicCache()
    found.layers = [_layer(KeptLayer(), layer.keys, layer.values) for layer in cache.layers]
    return found


def for_rows(cache: DynamicCache, rows: int) -> DynamicCache:
    """The same keys and values for a batch that grows behind them."""
    found = DynamicCache()
    found.layers = [
        _layer(DynamicLayer(), _rows(layer.keys, rows), _rows(layer.values, rows))
        for layer in cache.layers
    ]
    return found


def joined(one: DynamicCache, other: DynamicCache, width: int) -> DynamicCache:
    """The rows of both, each padded at its left to `width` tokens."""
    found = DynamicCache()
    found.layers = [
        _layer(
            DynamicLayer(),
            torch.cat([_padded(a.keys, width), _padded(b.keys, width)]),
            torch.cat([_padded(a.values, width), _padded(b.values, width)]),
        )
        for a, b in zip(one.layers, other.layers, strict=True)
    ]
    return found


def drop_left(cache: DynamicCache, tokens: int) -> None:
    """Forget the first tokens of every row."""
    if tokens:
        for layer in cache.layers:
            layer.keys = layer.keys[..., tokens:, :]
            layer.values = layer.values[..., tokens:, :]


def _padded(states: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(states, (0, 0, width - states.shape[-2], 0))


def _rows(states: Tensor, rows: int) -> Tensor:
    return states.expand(rows, -1, -1, -1)


def _layer(layer: DynamicLayer, keys: Tensor, values: Tensor) -> DynamicLayer:
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = keys, values
    return layer
