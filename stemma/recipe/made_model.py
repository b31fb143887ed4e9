"""`base.model`: the config of a Gemma made on the spot, key by key. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stemma.errors import brief, nearest
from stemma.shapes import GEMMA

GEMMA_SIZES = {
    "hidden_size": 65_536,
    "intermediate_size": 1_000_000,
    "num_hidden_layers": 1000,
    "num_attention_heads": 1024,
    "num_key_value_heads": 1024,
    "head_dim": 4096,
    "max_position_embeddings": 10**7,
}
GEMMA_SETTINGS: dict[str, str] = {
    "hidden_act": "text",
    "initializer_range": "a number above 0 and at most 1",
    "rms_norm_eps": "a number above 0 and at most 1",
    "use_cache": "true or false",
    "tie_word_embeddings": "true or false",
    "rope_parameters": "a mapping",
    "attention_bias": "true or false",
    "attention_dropout": "a number of at least 0 and below 1",
    "use_bidirectional_attention": "true or false",
}
MADE_BY_THE_TOKENIZER = ("vocab_size", "pad_token_id", "eos_token_id", "bos_token_id")
"""Keys of transformers' GemmaConfig: numbers of things with the most there may be, other settings
with what they are, and those a recipe leaves alone."""


def gemma_faults(model: dict[str, Any]) -> Iterator[str]:
    """Everything in `base.model` that transformers would pass over or stop at."""
    for key, value in model.items():
        yield from _faults_of(key, value)
    sizes = {key: value for key, value in (GEMMA | model).items() if type(value) is int}
    heads = sizes.get("num_attention_heads")
    shared = sizes.get("num_key_value_heads")
    if heads and shared and heads % shared:
        yield f"{heads} attention heads cannot share {shared} `num_key_value_heads` evenly"
    if sizes.get("head_dim", 0) % 2:
        yield f"`head_dim` is {sizes['head_dim']}, expected an even number: rotations go in pairs"


def _faults_of(key: str, value: Any) -> Iterator[str]:
    if key == "model_type":
        if value != "gemma":
            yield f"`model_type` is {brief(value)}, but a model made on the spot is a `gemma`"
    elif key in MADE_BY_THE_TOKENIZER:
        yield f"`{key}` comes from `base.tokenizer`"
    elif key in GEMMA_SIZES:
        if type(value) is not int or not 1 <= value <= GEMMA_SIZES[key]:
            most = f"at most {GEMMA_SIZES[key]:,}"
            yield f"`{key}` is {brief(value)}, expected a whole number of at least 1 and {most}"
    elif key not in GEMMA_SETTINGS:
        known = [*GEMMA_SIZES, *GEMMA_SETTINGS]
        hint = nearest(key, known) or f"known are {', '.join(known)}"
        yield f"unknown key `{key}`, {hint}"
    elif not _is_setting(value, GEMMA_SETTINGS[key]):
        yield f"`{key}` is {brief(value)}, expected {GEMMA_SETTINGS[key]}"


def _is_setting(value: Any, expected: str) -> bool:
    """Whether a setting is what `GEMMA_SETTINGS` says."""
    if expected.startswith("a number"):
        is_number = isinstance(value, int | float) and type(value) is not bool
        if "above" in expected:
            return is_number and 0 < value <= 1
        return is_number and 0 <= value < 1
    types = {"text": str, "true or false": bool, "a mapping": dict}
    return value is None or isinstance(value, types[expected])
