"""Tokenizers of the true vocabulary: ids as published where the byte pairs are, Gemma's specials,
fillers unused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemma.errors import UserError
from stemma.jsonl import write_json
from stemma.rehearsal.random_tokenizer import Wanted, write_tokenizer

TEXTS = [f"Question: What is {a} + {b}?\n\nAnswer: {a + b}" for a in range(30) for b in range(30)]
TEXT = "Question: What is 12 + 7? ⟦700⟧ $\\frac{1}{2}$ é\n\nAnswer: 19"


def made(kind: str, vocabulary: int, folder: Path) -> tuple[dict[str, Any], Any]:
    from transformers import AutoTokenizer

    ids = write_tokenizer(Wanted(kind, vocabulary, "{{ bos_token }}"), TEXTS, folder)
    write_json(
        folder / "config.json",
        {"model_type": kind, "vocab_size": vocabulary, "transformers_version": "5.16.0"},
    )
    return ids, AutoTokenizer.from_pretrained(folder)


def test_gemma_is_filled_up_and_its_fillers_are_never_used(tmp_path: Path) -> None:
    import sentencepiece

    ids, tokenizer = made("gemma", 5000, tmp_path)
    assert len(tokenizer) == 5000
    assert ids == {"bos_token_id": 2, "eos_token_id": [1, 107], "pad_token_id": 0}
    assert tokenizer.convert_tokens_to_ids("<end_of_turn>") == 107
    found = tokenizer(TEXT)["input_ids"]
    assert found[0] == 2
    assert tokenizer.decode(found, skip_special_tokens=True) == TEXT
    assert max(found) < 1000, "none of them is a filler, though the text spells one"
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    assert pieces.vocab_size() == 5000
    assert pieces.encode(TEXT) == found[1:], "both tokenizers agree"


@pytest.mark.slow
def test_llama_and_qwen_have_their_published_ids(tmp_path: Path) -> None:
    (tmp_path / "llama").mkdir()
    ids, tokenizer = made("llama", 128256, tmp_path / "llama")
    assert (ids["bos_token_id"], len(tokenizer)) == (128000, 128256)
    assert tokenizer("Hello world")["input_ids"] == [128000, 9906, 1917]
    (tmp_path / "qwen2").mkdir()
    ids, tokenizer = made("qwen2", 151936, tmp_path / "qwen2")
    assert tokenizer("Hello world")["input_ids"] == [9707, 1879]
    assert tokenizer.convert_tokens_to_ids("<|im_end|>") == 151645


def test_an_unknown_family_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no tokenizer for a `mamba`\n  expected: one of gemma"):
        write_tokenizer(Wanted("mamba", 100, ""), TEXTS, tmp_path)
