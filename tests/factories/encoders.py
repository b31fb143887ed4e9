"""Tiny random sentence encoders of BERT's kind, made offline, as sentence-transformers saves them.

Their vocabulary is BERT's own, which comes with llama.cpp, so the converter knows its hash.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from stemma.gguf_converter import LLAMA_CPP
from stemma.jsonl import write_json
from stemma.retrieval.embedding import TOKENIZER_KEY

FLAGS = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken", "max": "max_tokens"}
TEXTS = [
    "Water boils at 100 degrees Celsius at sea level.",
    "What makes the sky blue?",
    "A café in Zürich: naïve, but open.",
    "漢字 and α → β",
    "x",
]


def make_encoder(folder: Path, pooling: str | None = "mean", **more: Any) -> Path:
    """Write a BERT of two layers; without `pooling` a bare transformers folder.

    `more`: `max_seq_length`, `prompts`, or `modules` after the pooling.
    """
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    tokens = _vocabulary()
    config = BertConfig(
        vocab_size=len(tokens),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        initializer_range=0.5,
    )
    model: Any = BertModel(config)
    model.save_pretrained(folder)
    _write_tokenizer(folder, tokens)
    if pooling is not None:
        write_modules(folder, pooling, more.get("modules", ["Normalize"]))
    if "max_seq_length" in more:
        write_json(folder / "sentence_bert_config.json", {"max_seq_length": more["max_seq_length"]})
    if "prompts" in more:
        write_json(folder / "config_sentence_transformers.json", {"prompts": more["prompts"]})
    return folder


def write_modules(folder: Path, pooling: str, after: list[str]) -> None:
    """The files by which sentence-transformers joins model and pooling."""
    kinds = ["Transformer", "Pooling", *after]
    places = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    write_json(
        folder / "modules.json",
        [
            {
                "idx": number,
                "name": str(number),
                "path": place,
                "type": f"sentence_transformers.models.{kind}",
            }
            for number, (kind, place) in enumerate(zip(kinds, places, strict=True))
        ],
    )
    (folder / "1_Pooling").mkdir(exist_ok=True)
    flags = {f"pooling_mode_{flag}": mode == pooling for mode, flag in FLAGS.items()}
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **flags})


@cache
def _vocabulary() -> tuple[str, ...]:
    sys.path.insert(0, str(LLAMA_CPP / "gguf-py"))
    try:
        from gguf import GGUFReader
    finally:
        sys.path.pop(0)
    fields = GGUFReader(LLAMA_CPP / "models" / "ggml-vocab-bert-bge.gguf").fields
    tokens, types = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type"))
    return tuple(_piece(token, kind) for token, kind in zip(tokens, types, strict=True))


def _piece(token: str, kind: int) -> str:
    """A WordPiece as BERT writes it: llama.cpp marks words' beginnings, BERT their other pieces."""
    if kind == 3:  # a special token
        return token
    return token[1:] if token.startswith("\u2581") else f"##{token}"


def _tokenizer(tokens: tuple[str, ...]) -> str:
    """BERT's tokenizer.json."""
    from tokenizers import BertWordPieceTokenizer

    ids = {token: number for number, token in enumerate(tokens)}
    made = BertWordPieceTokenizer(ids, lowercase=True)
    return json.dumps(json.loads(made.to_str()), ensure_ascii=False)


def _write_tokenizer(folder: Path, tokens: tuple[str, ...]) -> None:
    (folder / "tokenizer.json").write_text(_tokenizer(tokens), encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(tokens), encoding="utf-8")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": True,
            "model_max_length": 512,
            **{
                f"{name}_token": f"[{name.upper()}]"
                for name in ("cls", "sep", "pad", "unk", "mask")
            },
        },
    )


def write_gguf(
    path: Path, pooling: int | None = 1, spoil: float | None = None, with_tokenizer: bool = True
) -> Path:
    """Write a random encoder straight as a GGUF file, at once: 16 numbers a vector, 64 positions.

    `pooling`: llama.cpp's number of it. `spoil`: a value that one weight takes, as NaN.
    """
    import numpy as np

    sys.path.insert(0, str(LLAMA_CPP / "gguf-py"))
    try:
        from gguf import GGUFWriter
    finally:
        sys.path.pop(0)
    tokens = _vocabulary()
    writer = GGUFWriter(path, "bert")
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    if pooling is not None:
        writer.add_uint32("bert.pooling_type", pooling)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("jina-v2-en")
    writer.add_token_type_count(2)
    marked = [
        one if one.startswith("[") and one.endswith("]") else f"\u2581{one}" for one in tokens
    ]
    writer.add_token_list(
        [
            piece[2:] if piece.startswith("##") else mark
            for piece, mark in zip(tokens, marked, strict=True)
        ]
    )
    for name, number in (("bos", 101), ("eos", 102), ("unk", 100), ("sep", 102), ("pad", 0)):
        getattr(writer, f"add_{name}_token_id")(number)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(True)
    if with_tokenizer:
        writer.add_string(TOKENIZER_KEY, _tokenizer(tokens))
    random = np.random.default_rng(0)
    for name, shape in _shapes(len(tokens)).items():
        values = random.normal(0, 0.5, shape).astype(np.float32)
        if spoil is not None and name == "token_embd_norm.bias":
            values[3] = spoil
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    square, norms = (
        (16, 16),
        ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"),
    )
    linear = {f"blk.0.attn_{name}": square for name in ("q", "k", "v", "output")}
    linear |= {"blk.0.ffn_up": (32, 16), "blk.0.ffn_down": (16, 32)}
    return {
        "token_embd.weight": (vocabulary, 16),
        "position_embd.weight": (64, 16),
        "token_types.weight": (2, 16),
        **{f"{name}.{part}": (16,) for name in norms for part in ("weight", "bias")},
        **{f"{name}.weight": shape for name, shape in linear.items()},
        **{f"{name}.bias": shape[:1] for name, shape in linear.items()},
    }
