"""A tokenizer of a model's true vocabulary where the real one is not at hand, without a network.

Qwen and Llama: the byte pairs that come with llama.cpp's own tests, which are the published ones.
Gemma: SentencePiece pieces learnt from the given texts, with Gemma's special ids, and behind them
names of no use up to the true number, so that every table and every logit has its true size.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma import LLAMA_CPP
from stemma.base_model.vocabulary import special_ids
from stemma.errors import Problem, UserError
from stemma.training.merge import TOKENIZER_FILES

LEARNT = 4000
"""Pieces learnt from the texts, at most."""
UNREACHABLE = -1e9
"""The score of a piece that only fills the vocabulary."""
VOCABULARIES = {"qwen2": "qwen2", "qwen3": "qwen2", "llama": "llama-bpe"}
"""llama.cpp's file of byte pairs, by `model_type`."""


@dataclass(frozen=True)
class Wanted:
    """The tokenizer that is asked for."""

    model_type: str
    """The model's family."""
    vocabulary: int
    """Pieces."""
    template: str
    """The chat template it carries."""


def write_tokenizer(wanted: Wanted, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    """Write the tokenizer's files; returns the special ids for config.json.

    Raises UserError for a family that has none here.
    """
    if wanted.model_type.startswith("gemma"):
        return _write_gemma(wanted.vocabulary, texts, folder)
    if wanted.model_type not in VOCABULARIES:
        found = f"no tokenizer for a `{wanted.model_type}`"
        known = f"gemma…, {', '.join(VOCABULARIES)}"
        expected = f"one of {known}, or a model whose tokenizer lies on this machine"
        raise UserError(Problem("base_model", found, expected))
    return _write_byte_pairs(VOCABULARIES[wanted.model_type], wanted.template, folder)


def _write_byte_pairs(name: str, template: str, folder: Path) -> dict[str, Any]:
    from stemma.from_gguf import tokenizer_files
    from stemma.from_gguf.header import read_gguf

    gguf = read_gguf(LLAMA_CPP / "models" / f"ggml-vocab-{name}.gguf")
    tokenizer_files.write_tokenizer(gguf, template, folder)
    found = {
        "bos_token_id": "bos_token_id",
        "eos_token_id": "eos_token_id",
        "pad_token_id": "padding_token_id",
    }
    ids = {ours: gguf.tokenizer(theirs) for ours, theirs in found.items()}
    return {name: number for name, number in ids.items() if number is not None}


def _write_gemma(vocabulary: int, texts: Sequence[str], folder: Path) -> dict[str, Any]:
    from stemma.training.base import BOS, END_OF_TURN, EOS, PAD, train_tokenizer

    train_tokenizer(texts, min(LEARNT, vocabulary), folder)
    _pad(folder / "tokenizer.model", vocabulary)
    _pad_json(folder / "tokenizer.json", vocabulary)
    return {"bos_token_id": BOS, "eos_token_id": [EOS, END_OF_TURN], "pad_token_id": PAD}


def _filler(number: int) -> str:
    """A name no text can be merged into: its first two characters are no piece."""
    return f"\u27e6{number}\u27e7"


def _pad(path: Path, vocabulary: int) -> None:
    """Fill SentencePiece's own file up to the vocabulary."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    for number in range(len(model.pieces), vocabulary):
        model.pieces.add(piece=_filler(number), score=UNREACHABLE)
    model.trainer_spec.vocab_size = len(model.pieces)
    path.write_bytes(model.SerializeToString())


def _pad_json(path: Path, vocabulary: int) -> None:
    """Fill the fast tokenizer's file likewise: no merge leads to a filler."""
    value = json.loads(path.read_text(encoding="utf-8"))
    pieces = value["model"]["vocab"]
    for number in range(len(pieces), vocabulary):
        pieces[_filler(number)] = number
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


def copy_tokenizer(source: Path, folder: Path) -> dict[str, Any]:
    """Copy the real tokenizer's files; returns the special ids of its model.

    They stand in generation_config.json or config.json.
    """
    for name in (*TOKENIZER_FILES, "tokenizer_config.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    return special_ids(source)
