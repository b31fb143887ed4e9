"""Tiny GGUF files written on the spot by gguf-py.

They hold a random Llama whose byte-level vocabulary is cut as SmolLM2's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemma.from_gguf.header import gguf_py

HIDDEN = 64
INNER = 128
HEADS = 4
KEY_HEADS = 2
LAYERS = 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ġ t", "h e", "Ġt he", "i s", "Ġ is", "o f"]
TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def vocabulary() -> list[str]:
    """Three special tokens, all bytes as GPT-2 writes them, and what the merges make."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + place) for place in range(len(rest))]
    return [*SPECIAL, *letters, *(merge.replace(" ", "") for merge in MERGES)]


def header() -> dict[str, Any]:
    """The keys of such a file, as llama.cpp's converter writes them."""
    tokens = vocabulary()
    return {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.license": "apache-2.0",
        "llama.context_length": 256,
        "llama.embedding_length": HIDDEN,
        "llama.block_count": LAYERS,
        "llama.feed_forward_length": INNER,
        "llama.attention.head_count": HEADS,
        "llama.attention.head_count_kv": KEY_HEADS,
        "llama.attention.layer_norm_rms_epsilon": np.float32(1e-5),
        "llama.rope.freq_base": np.float32(100000),
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "smollm",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)),
        "tokenizer.ggml.merges": MERGES,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": TEMPLATE,
    }


def weights() -> dict[str, NDArray[np.float32]]:
    """Random weights of its shapes; the head is the embedding."""
    random = np.random.default_rng(0)
    keys = HIDDEN // HEADS * KEY_HEADS
    layer = {
        "attn_norm": (HIDDEN,),
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (keys, HIDDEN),
        "attn_v": (keys, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_norm": (HIDDEN,),
        "ffn_gate": (INNER, HIDDEN),
        "ffn_up": (INNER, HIDDEN),
        "ffn_down": (HIDDEN, INNER),
    }
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(vocabulary()), HIDDEN),
        "output_norm.weight": (HIDDEN,),
    }
    shapes |= {
        f"blk.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in layer.items()
    }
    return {name: random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}


def write_gguf(
    path: Path,
    fields: dict[str, Any] | None = None,
    tensors: dict[str, NDArray[np.float32] | None] | None = None,
    kind: str = "F32",
) -> Path:
    """Write such a file.

    `fields` and `tensors` replace keys and weights; None takes one out. Matrices are stored as
    `kind`, vectors in float32.
    """
    gguf = gguf_py()
    values = {k: v for k, v in (header() | (fields or {})).items() if v is not None}
    writer = gguf.GGUFWriter(path, values.pop("general.architecture", ""))
    for key, value in values.items():
        _add(writer, key, value)
    for name, weight in (weights() | (tensors or {})).items():
        if weight is not None:
            stored = gguf.GGMLQuantizationType[kind if weight.ndim == 2 else "F32"]
            writer.add_tensor(name, gguf.quantize(weight, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    else:
        writer.add_float32(key, float(value))
