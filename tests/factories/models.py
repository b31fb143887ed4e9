"""Tiny random Gemma models with a real SentencePiece tokenizer, for tests of every stage."""

from __future__ import annotations

import atexit
import io
import json
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from stemma import ROOT

VOCABULARY = 448
TEMPLATE = ROOT / "recipes" / "templates" / "qa.jinja"
CONTROL = ("<pad>", "<eos>", "<bos>", "<unk>")
TURNS = ("<start_of_turn>", "<end_of_turn>")
"""Gemma's ids: pad 0, eos 1, bos 2, unk 3, <mask> 4, and the turn markers at 106 and 107."""


def make_gemma(
    folder: Path, hidden: int = 256, layers: int = 2, seed: int = 0, dtype: str = "float32"
) -> Path:
    """Write a random Gemma with its three tokenizer files and the chat template.

    `hidden` a multiple of 256 gives real K-quants; 32 is enough where only the file shapes count.
    """
    import torch
    from transformers import GemmaConfig, GemmaForCausalLM, GenerationConfig

    config = GemmaConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=max(hidden // 4, 8),
        max_position_embeddings=512,
        pad_token_id=0,
        eos_token_id=1,
        bos_token_id=2,
        initializer_range=0.1,
    )
    torch.manual_seed(seed)
    model = GemmaForCausalLM(config).to(getattr(torch, dtype))
    model.generation_config = GenerationConfig(
        bos_token_id=2, eos_token_id=[1, 107], pad_token_id=0
    )
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@lru_cache
def tiny_model() -> Path:
    """One such model for all tests that only read it."""
    return make_gemma(_folder() / "tiny")


@lru_cache
def tiny_gguf() -> Path:
    """`tiny_model` as an F16 GGUF file, by the real converter (10 s, once a test run)."""
    from stemma.gguf_converter import convert

    path = _folder() / "tiny-F16.gguf"
    convert(tiny_model(), path, "F16", {"general.name": "tiny"})
    return path


@lru_cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="stemma-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def write_tokenizer(folder: Path) -> None:
    """Write the four tokenizer files of a Gemma folder, with what transformers 5 leaves out."""
    from transformers import GemmaTokenizer

    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    GemmaTokenizer.from_pretrained(folder).save_pretrained(folder)
    _mark_turns_special(folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(_tokenizer_config(folder), indent=2), encoding="utf-8"
    )
    (folder / "chat_template.jinja").write_text(
        TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8"
    )


def _mark_turns_special(path: Path) -> None:
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    for token in tokenizer["added_tokens"]:
        token["special"] = token["content"] in (*CONTROL, "<mask>", *TURNS)
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    # transformers 5 saves no added_tokens_decoder, which the GGUF converter needs, and a local path
    # in vocab_file.
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return {
        "tokenizer_class": "GemmaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
        "unk_token": "<unk>",
        "clean_up_tokenization_spaces": False,
        "model_max_length": 512,
        "added_tokens_decoder": {
            str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in added
        },
    }


@lru_cache
def sentencepiece_model() -> bytes:
    """A BPE model with byte fallback and split digits, trained on a few sums and facts."""
    from sentencepiece import SentencePieceTrainer

    stream = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(_sentences()),
        model_writer=stream,
        model_type="bpe",
        vocab_size=VOCABULARY,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["<mask>", *(f"<unused{i}>" for i in range(101)), *TURNS],
        byte_fallback=True,
        split_digits=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    return stream.getvalue()


def _sentences() -> list[str]:
    sums = [
        f"Question: What is {a} + {b}?\n\nAnswer: {a + b}" for a in range(20) for b in range(20)
    ]
    return [
        *sums,
        "Question: Which unit measures force?\n\nOptions:\n"
        "A. newton\nB. joule\nC. watt\nD. volt\n\nAnswer: A",
        "The speed of light in a vacuum is 299792458 m/s, "
        "and an algorithm with two nested loops takes quadratic time.",
    ]
