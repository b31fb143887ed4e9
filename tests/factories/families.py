"""Tiny random models of all families, with their kinds of tokenizers, made offline.

The byte-pair vocabularies of Qwen 2 and Llama 3 come with llama.cpp (its tokenizer tests), so the
converter recognises them by the hash it knows; Gemma 2 and 3 share Gemma's kind of SentencePiece.
SmolLM2's vocabulary does not come along: GPT-2's, which does, stands in for it, with SmolLM2's
special tokens and settings.
"""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from stemma.gguf_converter import LLAMA_CPP
from stemma.jsonl import write_json
from tests.factories.models import VOCABULARY, make_gemma, write_tokenizer

LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT = {
    "qwen2": LETTERS + r"\p{N}" + REST,
    "llama-bpe": LETTERS + r"\p{N}{1,3}" + REST,
    "gpt-2": r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
}
"""Patterns by which the published tokenizer.json of each cuts text before merging.

Digits stand alone, by threes, or all together.
"""

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
}
GEMMA = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
QWEN = {"bos_token_id": 151643, "eos_token_id": 151643}
LLAMA = {"bos_token_id": 128000, "eos_token_id": 128001}
SMOLLM = {"bos_token_id": 50257, "eos_token_id": 50258, "pad_token_id": 50258}
FAMILIES: dict[str, dict[str, Any]] = {
    "gemma": GEMMA,
    "gemma2": GEMMA
    | {"tie_word_embeddings": True, "query_pre_attn_scalar": 16, "attn_logit_softcapping": 0.5},
    "gemma3_text": GEMMA | {"tie_word_embeddings": True, "query_pre_attn_scalar": 16},
    "qwen2": QWEN | {"tie_word_embeddings": True},
    "qwen3": QWEN | {"tie_word_embeddings": False},
    "llama": LLAMA | {"tie_word_embeddings": True},
    "smollm2": SMOLLM | {"tie_word_embeddings": True},
}
VOCABULARIES = {"llama": 128256, "qwen2": 151936, "qwen3": 151936, "smollm2": 50304}
VOCABULARY_OF = {"llama": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2", "smollm2": "gpt-2"}
SPECIAL = {
    "qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
    "llama-bpe": [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ],
    "gpt-2": ["<|endoftext|>"],
}
ARCHITECTURES = {"smollm2": "llama"}


def make_family(folder: Path, kind: str) -> Path:
    """Write a random model of the family `kind` with its tokenizer's files."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    if kind == "gemma":
        return make_gemma(folder, hidden=64)
    torch.manual_seed(0)
    sizes = SIZES | FAMILIES[kind] | {"vocab_size": VOCABULARIES.get(kind, VOCABULARY)}
    config = AutoConfig.for_model(ARCHITECTURES.get(kind, kind), **sizes)
    model: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    ids = {name: FAMILIES[kind][name] for name in ("bos_token_id", "eos_token_id")}
    model.generation_config = GenerationConfig(**ids)
    model.save_pretrained(folder)
    write_tokenizer_of(folder, kind)
    return folder


def write_tokenizer_of(folder: Path, kind: str) -> None:
    """The tokenizer's files of a family, as its models come with them."""
    if kind.startswith("gemma"):
        write_tokenizer(folder)
    else:
        WRITERS[kind](folder, _byte_pairs(VOCABULARY_OF[kind]))


def write_byte_tokenizer(folder: Path, kind: str) -> None:
    """The same with no merges, made at once: every byte of plain text is a token."""
    folder.mkdir(exist_ok=True)
    WRITERS[kind](folder, _bytes_alone(VOCABULARY_OF[kind]))


def _write_qwen(folder: Path, tokenizer: Any) -> None:
    """No first token; the last is the padding too."""
    from tokenizers import normalizers

    tokenizer.normalizer = normalizers.NFC()
    names = {
        "bos_token": None,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
    }
    _write(
        folder, tokenizer, {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, **names}
    )


def _write_llama(folder: Path, tokenizer: Any) -> None:
    """The first token is put in front by the tokenizer; there is no padding token."""
    from tokenizers import processors

    first = "<|begin_of_text|>"
    known = [(first, tokenizer.token_to_id(first))]
    begin = processors.TemplateProcessing(
        f"{first} $A", f"{first} $A {first} $B", special_tokens=known
    )
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), begin]
    )
    names = {"bos_token": first, "eos_token": "<|end_of_text|>"}
    _write(folder, tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", **names})


def _write_smollm(folder: Path, tokenizer: Any) -> None:
    """ChatML's turn markers are its first and its last token; nothing is put in front."""
    from tokenizers import AddedToken

    turns = [
        AddedToken(token, normalized=False, special=True)
        for token in ("<|im_start|>", "<|im_end|>")
    ]
    tokenizer.add_special_tokens(turns)
    names = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    config = {
        "tokenizer_class": "GPT2Tokenizer",
        "add_prefix_space": False,
        "unk_token": "<|endoftext|>",
        **names,
    }
    _write(folder, tokenizer, config)


def _write(folder: Path, tokenizer: Any, config: dict[str, Any]) -> None:
    value = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    added = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in value["added_tokens"]}
    shared = {
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "added_tokens_decoder": added,
    }
    write_json(folder / "tokenizer_config.json", shared | config)


@cache
def _vocabulary(name: str) -> tuple[list[str], list[int], list[str]]:
    sys.path.insert(0, str(LLAMA_CPP / "gguf-py"))
    try:
        from gguf import GGUFReader
    finally:
        sys.path.pop(0)
    fields = GGUFReader(LLAMA_CPP / "models" / f"ggml-vocab-{name}.gguf").fields
    tokens, types, merges = (
        fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges")
    )
    return tokens, types, merges


def _byte_pairs(name: str) -> Any:
    tokens, types, merges = _vocabulary(name)
    plain = {token: number for number, token in enumerate(tokens) if types[number] == 1}
    special = [
        token for token in tokens[len(plain) :] if not token.startswith("[PAD")
    ]  # rows no token stands for
    return _tokenizer(name, plain, [tuple(merge.split(" ")) for merge in merges], special)


def _bytes_alone(name: str) -> Any:
    from tokenizers import pre_tokenizers

    plain = {
        token: number for number, token in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    return _tokenizer(name, plain, [], SPECIAL[name])


def _tokenizer(name: str, plain: dict[str, int], pairs: list[Any], special: list[str]) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    tokenizer = Tokenizer(BPE(vocab=plain, merges=pairs, ignore_merges=name == "llama-bpe"))
    words = pre_tokenizers.Split(Regex(SPLIT[name]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [words, pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False, special=True) for token in special]
    )
    return tokenizer


WRITERS = {
    "llama": _write_llama,
    "qwen2": _write_qwen,
    "qwen3": _write_qwen,
    "smollm2": _write_smollm,
}
