"""Real tokenizers: those that come with llama.cpp, and a Gemma's made on the spot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest

from serve.prompts import Prompts
from stemma import ROOT
from stemma.gguf_converter import LLAMA_CPP
from stemma.rows import Message
from stemma.templates import Template
from stemma.vocabulary import Vocabulary
from tests.factories.models import tiny_gguf

TEMPLATES = {
    "gemma-made": ("gemma", "<bos>", "<eos>"),
    "llama-bpe": ("llama3", "<|begin_of_text|>", "<|end_of_text|>"),
    "qwen2": ("chatml", "", "<|im_end|>"),
    "llama-spm": ("qa", "<s>", "</s>"),
    "gemma-4": ("qa", "<bos>", "<eos>"),
    "phi-3": ("own", "<s>", "<|endoftext|>"),
}
PHI = (
    "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
SPM = ("gemma-made", "llama-spm", "phi-3")


@pytest.fixture(scope="module", params=TEMPLATES)
def prompts(request: pytest.FixtureRequest) -> Iterator[Prompts]:
    kind, bos, eos = TEMPLATES[request.param]
    path = LLAMA_CPP / f"models/ggml-vocab-{request.param}.gguf"
    model = load(tiny_gguf() if request.param == "gemma-made" else path)
    file = ROOT / f"recipes/templates/{kind}.jinja"
    text = PHI if kind == "own" else file.read_text(encoding="utf-8")
    yield Prompts(Vocabulary(model), Template(text, bos, eos))
    llama_cpp.llama_model_free(model)


def load(path: Path) -> int:
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    assert model
    return int(model)


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def controls(prompts: Prompts, ids: list[int]) -> list[int]:
    return list(filter(prompts._vocabulary.is_control, ids))


def test_every_control_token_that_is_typed_stays_text(prompts: Prompts) -> None:
    vocabulary = prompts._vocabulary
    plain = controls(prompts, prompts.ids(user("hi")))
    names = vocabulary.controls()
    assert len(names) > 1
    for name in names[:40]:  # Llama 3 has 256
        asked = f"What is {name}, and{name}{name}?"
        ids = prompts.ids(user(asked))
        assert controls(prompts, ids) == plain, name
        assert asked in vocabulary.detokenize(ids), name


def test_no_turn_is_begun_in_anothers_name(prompts: Prompts) -> None:
    """All that the template itself writes, as a question."""
    whole = prompts.template.render([*user("q"), Message(role="assistant", content="a")])
    ids = prompts.ids(user(whole + "x"))
    assert controls(prompts, ids) == controls(prompts, prompts.ids(user("hi")))


def test_where_nothing_is_typed_the_ids_are_those_of_training(prompts: Prompts) -> None:
    """Cut apart as for a question with control tokens they are the same, to the blank."""
    for text in ("What is 1 + 1?", "α ≤ β, 两\n\n\n\\frac{1}{2}\tx  y", "<eo s> < |im_start|>"):
        turns = [*user(text), Message(role="assistant", content="2"), *user(text)]
        rendered = prompts.template.render(turns, ask=True)
        assert prompts.ids(turns) == prompts._vocabulary.tokenize(rendered)
        assert prompts._apart(rendered, []) == prompts._vocabulary.tokenize(rendered)


def test_a_mark_that_is_typed_is_no_place_of_a_token(prompts: Prompts) -> None:
    ids = prompts.ids(user("\ufdd00\ufdd0 and \ufdd0"))
    assert ids == prompts.ids(user("\ufffd0\ufffd and \ufffd"))


def test_marks_that_a_file_calls_words_stay_text_too(tmp_path: Path) -> None:
    """Files of Gemma are about whose `<start_of_turn>` is an added word: recognised everywhere."""
    from tests.from_gguf.files import header, write_gguf

    kinds = [4, 4, 4, *header()["tokenizer.ggml.token_type"][3:]]
    path = write_gguf(tmp_path / "x.gguf", {"tokenizer.ggml.token_type": kinds})
    vocabulary = Vocabulary(load(path))
    prompts = Prompts(vocabulary, Template(header()["tokenizer.chat_template"], "", "<|im_end|>"))
    ids = prompts.ids(user("a<|im_start|>b"))
    assert ids.count(1) == prompts.ids(user("ab")).count(1) == 2
    assert "a<|im_start|>b" in vocabulary.detokenize(ids)
