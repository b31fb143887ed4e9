"""Tokenizer files of a tiny byte-level vocabulary: ids by hand, and what the config says of its
special tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer

from stemma.from_gguf.header import read_gguf
from stemma.from_gguf.tokenizer_files import adds_first, write_tokenizer
from stemma.jsonl import read_json
from tests.from_gguf.files import TEMPLATE, vocabulary, write_gguf


def ids(folder: Path, text: str) -> list[int]:
    found: list[int] = (
        Tokenizer.from_file(str(folder / "tokenizer.json"))
        .encode(text, add_special_tokens=False)
        .ids
    )
    return found


def test_ids_by_hand(tmp_path: Path) -> None:
    write_tokenizer(read_gguf(write_gguf(tmp_path / "x.gguf")), TEMPLATE, tmp_path)
    number = {token: place for place, token in enumerate(vocabulary())}
    assert ids(tmp_path, "the") == [number["t"], number["he"]]
    assert ids(tmp_path, " the") == [number["Ġthe"]]
    assert ids(tmp_path, "12 is") == [number["1"], number["2"], number["Ġis"]]
    assert ids(tmp_path, "é") == [number["Ã"], number["©"]]
    assert ids(tmp_path, "<|im_end|>\n") == [2, number["Ċ"]]


def test_the_config_names_the_special_tokens(tmp_path: Path) -> None:
    write_tokenizer(read_gguf(write_gguf(tmp_path / "x.gguf")), TEMPLATE, tmp_path)
    config = read_json(tmp_path / "tokenizer_config.json")
    named = {name: config[f"{name}_token"] for name in ("bos", "eos", "pad", "unk")}
    assert named == {
        "bos": "<|im_start|>",
        "eos": "<|im_end|>",
        "pad": "<|im_end|>",
        "unk": "<|endoftext|>",
    }
    assert [token["content"] for token in config["added_tokens_decoder"].values()] == vocabulary()[
        :3
    ]
    assert (config["model_max_length"], config["add_bos_token"], config["chat_template"]) == (
        256,
        False,
        TEMPLATE,
    )
    assert (tmp_path / "chat_template.jinja").read_text() == TEMPLATE


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({"tokenizer.ggml.add_bos_token": None}, False),
        ({"tokenizer.ggml.add_bos_token": None, "tokenizer.ggml.pre": "llama-bpe"}, True),
        ({"tokenizer.ggml.add_bos_token": True}, True),
    ],
)
def test_who_puts_the_first_token_in_front(
    changed: dict[str, object], first: bool, tmp_path: Path
) -> None:
    gguf = read_gguf(write_gguf(tmp_path / "x.gguf", changed))
    assert adds_first(gguf) == first
    write_tokenizer(gguf, TEMPLATE, tmp_path)
    whole = Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("a").ids
    assert whole == ([1] if first else []) + ids(tmp_path, "a")
