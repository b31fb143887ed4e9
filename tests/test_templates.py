"""The chat templates: where an answer begins, which token ends it, and whose special tokens they write."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma import ROOT
from stemma.jsonl import write_json
from stemma.templates import Template, answered, question, special_tokens

FOLDER = ROOT / "recipes" / "templates"
LLAMA = ("<|begin_of_text|>", "<|end_of_text|>")
HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
SPLITS = {
    "qa": ("<bos>Question: 1 + 1?\n\nAnswer:", " 2<eos>"),
    "gemma": ("<bos><start_of_turn>user\n1 + 1?<end_of_turn>\n<start_of_turn>model\n", "2<end_of_turn>"),
    "chatml": ("<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n", "2<|im_end|>"),
    "smollm2": (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n",
        "2<|im_end|>",
    ),
    "llama3": (f"<bos>{HEAD.format('user')}1 + 1?<|eot_id|>{HEAD.format('assistant')}", "2<|eot_id|>"),
}


def test_every_template_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.jinja")} == set(SPLITS)


@pytest.mark.parametrize("name", SPLITS)
def test_the_border_the_stop_and_the_first_token(name: str) -> None:
    template = Template.read(FOLDER / f"{name}.jinja")
    prompt, answer = template.split(answered("1 + 1?", "2"))
    assert (prompt, answer) == SPLITS[name]
    assert template.stop() == answer.strip().removeprefix("2")
    assert template.first == ("" if name in ("chatml", "smollm2") else "<bos>")


def test_special_tokens_are_the_models(tmp_path: Path) -> None:
    bos = {"content": LLAMA[0], "special": True}
    write_json(tmp_path / "tokenizer_config.json", {"bos_token": bos, "eos_token": LLAMA[1]})
    assert special_tokens(tmp_path) == LLAMA
    template = Template.read(FOLDER / "qa.jinja", tmp_path)
    assert template.split(answered("q", "a")) == (f"{LLAMA[0]}Question: q\n\nAnswer:", f" a{LLAMA[1]}")
    write_json(tmp_path / "tokenizer_config.json", {"bos_token": None, "eos_token": "<|endoftext|>"})
    without = Template.read(FOLDER / "qa.jinja", tmp_path)
    assert (without.first, without.stop()) == ("", "<|endoftext|>")


def test_a_turn_marker_that_the_model_names_as_its_first_token_is_none() -> None:
    for name in ("smollm2", "chatml"):
        text = (FOLDER / f"{name}.jinja").read_text()
        assert Template(text, "<|im_start|>", "<|im_end|>").first == "", "it begins every turn, not the conversation"
    assert Template("{{ bos_token }}" + text, "<s>", "<|im_end|>").first == "<s>"
    assert Template("{{ bos_token }}" + (FOLDER / "qa.jinja").read_text()).first == "<bos>", (
        "twice: a fault that is found"
    )


def test_a_model_without_a_first_token_carries_a_template_that_says_so() -> None:
    text = (FOLDER / "qa.jinja").read_text()
    without = Template(text, "", "<|endoftext|>")
    # As llama.cpp fills it in, which knows a first token of Qwen's from config.json.
    asked = Template(without.carried, "<|endoftext|>", "<|endoftext|>").render(question("q"), ask=True)
    assert asked == without.render(question("q"), ask=True) == "Question: q\n\nAnswer:"
    assert Template(text).carried == text


def test_of_a_model_that_is_not_here_the_tokens_names_are_shown() -> None:
    unfilled = Template.unfilled(FOLDER / "qa.jinja")
    assert unfilled.split(answered("q", "a")) == ("{bos_token}Question: q\n\nAnswer:", " a{eos_token}")
