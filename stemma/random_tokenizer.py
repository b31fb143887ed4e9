"""A tokenizer of a model's true vocabulary where the real one is not at hand: nothing is downloaded for it.

Qwen and Llama: the byte pairs that come with llama.cpp's own tests, which are the published ones. Gemma: SentencePiece
pieces learnt from the given texts, with Gemma's special ids, and behind them names of no use up to the true number, so
that every table and every logit has its true size.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from stemma import LLAMA_CPP
from stemma.errors import Problem, UserError
from stemma.jsonl import write_json

LEARNT = 4000
"""Pieces learnt from the texts, at most."""
UNREACHABLE = -1e9
"""The score of a piece that only fills the vocabulary."""
LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT = {"qwen2": LETTERS + r"\p{N}" + REST, "llama-bpe": LETTERS + r"\p{N}{1,3}" + REST}
"""How the published tokenizer.json of each cuts text before merging: digits alone, or by threes."""
VOCABULARIES = {"qwen2": "qwen2", "qwen3": "qwen2", "llama": "llama-bpe"}
"""llama.cpp's file of byte pairs, by `model_type`."""


def write_tokenizer(model_type: str, vocabulary: int, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    """Write the tokenizer's files; returns the special ids for config.json. Raises UserError for a family without one,
    or with a vocabulary smaller than what must be in it."""
    if model_type.startswith("gemma"):
        return _write_gemma(vocabulary, texts, folder)
    if model_type not in VOCABULARIES:
        expected = f"one of gemma…, {', '.join(VOCABULARIES)}, or a model whose tokenizer lies on this machine"
        raise UserError(Problem("base_model", f"no tokenizer for a `{model_type}`", expected))
    return _write_llama(folder) if model_type == "llama" else _write_qwen(folder)


def _write_gemma(vocabulary: int, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    from stemma.base import BOS, END_OF_TURN, EOS, PAD, train_tokenizer

    train_tokenizer(texts, min(LEARNT, vocabulary), folder)
    _pad(folder / "tokenizer.model", vocabulary)
    _pad_json(folder / "tokenizer.json", vocabulary)
    return {"bos_token_id": BOS, "eos_token_id": [EOS, END_OF_TURN], "pad_token_id": PAD}


def _filler(number: int) -> str:
    """A name no text can be merged into: its first two characters are no piece."""
    return f"\u27e6{number}\u27e7"


def _pad(path: Path, vocabulary: int) -> None:
    """SentencePiece's own file, with fillers up to the vocabulary."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    for number in range(len(model.pieces), vocabulary):
        model.pieces.add(piece=_filler(number), score=UNREACHABLE)
    model.trainer_spec.vocab_size = len(model.pieces)
    path.write_bytes(model.SerializeToString())


def _pad_json(path: Path, vocabulary: int) -> None:
    """Likewise the fast tokenizer's: no merge leads to a filler."""
    value = json.loads(path.read_text(encoding="utf-8"))
    pieces = value["model"]["vocab"]
    for number in range(len(pieces), vocabulary):
        pieces[_filler(number)] = number
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def _write_qwen(folder: Path) -> dict[str, Any]:
    """No first token; the last is the padding too."""
    from tokenizers import normalizers

    tokenizer = _byte_pairs("qwen2")
    tokenizer.normalizer = normalizers.NFC()
    end = "<|endoftext|>"
    names = {"bos_token": None, "eos_token": end, "pad_token": end, "unk_token": None}
    _write(folder, tokenizer, {"tokenizer_class": "Qwen2Tokenizer", "add_bos_token": False, **names})
    return {"bos_token_id": tokenizer.token_to_id(end), "eos_token_id": tokenizer.token_to_id(end)}


def _write_llama(folder: Path) -> dict[str, Any]:
    """The first token is put in front by the tokenizer; there is no padding token."""
    from tokenizers import processors

    tokenizer = _byte_pairs("llama-bpe")
    first, last = "<|begin_of_text|>", "<|end_of_text|>"
    ids = {"bos_token_id": tokenizer.token_to_id(first), "eos_token_id": tokenizer.token_to_id(last)}
    begin = processors.TemplateProcessing(
        single=f"{first} $A", pair=f"{first} $A {first} $B", special_tokens=[(first, ids["bos_token_id"])]
    )
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), begin])
    _write(folder, tokenizer, {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": first, "eos_token": last})
    return ids


def _write(folder: Path, tokenizer: Any, config: dict[str, Any]) -> None:
    value = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    added = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in value["added_tokens"]}
    shared = {"clean_up_tokenization_spaces": False, "added_tokens_decoder": added}
    write_json(folder / "tokenizer_config.json", shared | config)


@cache
def _vocabulary(name: str) -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types (1: plain) and merges of one of llama.cpp's vocabulary files."""
    sys.path.insert(0, str(LLAMA_CPP / "gguf-py"))
    try:
        from gguf import GGUFReader
    finally:
        sys.path.pop(0)
    path = LLAMA_CPP / "models" / f"ggml-vocab-{name}.gguf"
    if not path.is_file():
        raise UserError(Problem(str(path), "no such file", "llama.cpp's vocabularies", "run `make setup`"))
    fields = GGUFReader(path).fields
    tokens, types, merges = (fields[f"tokenizer.ggml.{key}"].contents() for key in ("tokens", "token_type", "merges"))
    return tokens, types, merges


def _byte_pairs(name: str) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    tokens, types, merges = _vocabulary(name)
    plain = {token: number for number, token in enumerate(tokens) if types[number] == 1}
    pairs = [tuple(merge.split(" ")) for merge in merges]
    tokenizer = Tokenizer(BPE(vocab=plain, merges=pairs, ignore_merges=name == "llama-bpe"))
    words = pre_tokenizers.Split(Regex(SPLIT[name]), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token in tokens[len(plain) :] if not token.startswith("[PAD")]  # rows no token stands for
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    return tokenizer


def copy_tokenizer(source: Path, folder: Path) -> dict[str, Any]:
    """The real tokenizer's files; returns the special ids of its model's generation_config.json or config.json."""
    from stemma.jsonl import read_json
    from stemma.merge import TOKENIZER_FILES

    for name in (*TOKENIZER_FILES, "tokenizer_config.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    path = source / "generation_config.json"
    config = read_json(path if path.is_file() else source / "config.json")
    return {name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id") if name in config}
