"""What an encoder brings into a database, before it is made: its vectors' width, and bytes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rag.distilling import DIMENSIONS, is_table
from stemma.digests import size_of
from stemma.jsonl import read_object
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.wheels import cache

TOKEN_BYTES = 24
"""Of a token in a GGUF's vocabulary: its text, score and kind."""


@dataclass(frozen=True)
class EncoderSizes:
    """The width of the vectors, and the bytes of the model's file or folder."""

    dimensions: int
    bytes: int
    is_known: bool = True
    """Whether they are of the model itself; a usual one's otherwise."""


NONE = EncoderSizes(0, 0)
USUAL = EncoderSizes(384, 67_000_000, is_known=False)
"""A small encoder's (bge-small-en-v1.5), where the named one is not here yet."""


def sizes_of(asked: Encoder | None) -> EncoderSizes:
    """By the model's own config.json: in its folder, or where downloads are kept. Of a table with
    an encoder that re-ranks, both count."""
    if asked is None:
        return NONE
    found = _sizes_of(asked)
    again = sizes_of(asked.rerank)
    is_known = found.is_known and again.is_known
    return EncoderSizes(found.dimensions, found.bytes + again.bytes, is_known)


def _sizes_of(asked: Encoder) -> EncoderSizes:
    folder = asked.folder or _kept(asked)
    if folder is None or not (folder / "config.json").is_file():
        return USUAL
    config = read_object(folder / "config.json")
    if asked.static and is_table(folder):
        return EncoderSizes(int(config.get("hidden_dim", DIMENSIONS)), size_of(folder))
    try:
        if asked.static:
            width = min(DIMENSIONS, int(config["hidden_size"]))
            return EncoderSizes(width, int(config["vocab_size"]) * (4 * width + TOKEN_BYTES))
        return EncoderSizes(int(config["hidden_size"]), _gguf_bytes(config))
    except KeyError:
        return USUAL


def _kept(asked: Encoder) -> Path | None:
    """The folder of a package's or the hub's model, where it is here already."""
    if asked.is_packaged:
        return cache(os.environ) / minilm.NAME
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(asked.name, "config.json", revision=asked.revision)
    except ValueError:  # no name of the hub's: stage `rag` says so
        return None
    return Path(found).parent if isinstance(found, str) else None


def _gguf_bytes(config: dict[str, Any]) -> int:
    """Of BERT's architecture (Devlin et al. 2019): matrices with 16 bits, the rest with 32."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    layers, vocabulary = int(config["num_hidden_layers"]), int(config["vocab_size"])
    positions = int(config.get("max_position_embeddings", 0))
    matrices = (vocabulary + positions) * width + layers * (4 * width**2 + 2 * width * inner)
    # Of a layer: four biases of attention, two of the feed-forward part, two norms.
    others = layers * (9 * width + inner) + 4 * width
    return 2 * matrices + 4 * others + TOKEN_BYTES * vocabulary
