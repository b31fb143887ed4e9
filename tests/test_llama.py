"""stemma.llama against transformers, on the same tiny random model."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stemma.errors import StageFailed, UserError
from stemma.llama import PROMPT_BATCH, SCORED_BATCH, Llama
from tests.factories.models import tiny_gguf, tiny_model

TEXT = "<bos>Question: What is 12 + 3?\n\nAnswer: 15<eos>"


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    with Llama(tiny_gguf(), context_tokens=700, threads=1) as model:
        yield model


def hf_logits(ids: list[int]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        model = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
        return np.asarray(model(torch.tensor([ids])).logits[0].numpy())


def test_tokenizes_special_tokens_and_adds_none(llama: Llama) -> None:
    assert llama.tokenize("<bos><eos><end_of_turn>") == [2, 1, 107]
    assert llama.tokenize(TEXT)[0] == 2
    assert llama.tokenize("hi") == llama.tokenize("<bos>hi")[1:]


@pytest.mark.parametrize(
    "text", ["What is 1 + 1?", "α ≤ β, 两\n\n\n\\frac{1}{2}\tx", "  two  blanks ", ""]
)
def test_detokenize_reverses_tokenize(llama: Llama, text: str) -> None:
    assert llama.detokenize(llama.tokenize(text)) == text


def test_detokenize_leaves_special_tokens_out(llama: Llama) -> None:
    assert llama.detokenize(llama.tokenize("<bos>15<eos>")) == "15"


def test_ends(llama: Llama) -> None:
    assert [token for token in range(llama.vocabulary_size) if llama.is_end(token)] == [1, 107]


def test_logits_equal_transformers(llama: Llama) -> None:
    ids = (llama.tokenize(TEXT) * 50)[
        : PROMPT_BATCH + SCORED_BATCH
    ]  # more than one batch of each kind
    expected = hf_logits(ids)
    np.testing.assert_allclose(llama.logits(ids), expected, atol=0.1)
    np.testing.assert_allclose(
        llama.logits(ids, start=PROMPT_BATCH + 3), expected[PROMPT_BATCH + 3 :], atol=0.1
    )


def test_continuations_equal_whole_sequences(llama: Llama) -> None:
    prompt, answers = (
        llama.tokenize("<bos>Question: What is 2 + 2?\n\nAnswer:"),
        [[401], [402, 403, 404], [405] * 100],
    )
    found = llama.log_probs(prompt, answers)
    for values, answer in zip(found, answers, strict=True):
        whole = llama.logits([*prompt, *answer])[len(prompt) - 1 : -1].astype(np.float64)
        by_hand = [
            row[token] - np.log(np.exp(row).sum()) for row, token in zip(whole, answer, strict=True)
        ]
        assert values == pytest.approx(by_hand, abs=0.1)


def test_a_long_answer_is_read_off_batch_by_batch(llama: Llama) -> None:
    answer = [120 + i % 300 for i in range(600)]
    tracemalloc.start()
    try:
        [values] = llama.log_probs([2, 120], [answer])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(values) == 600
    # Of 600 rows 64 are held, with their exponentials and the copy before; all would be 600 x 448 x
    # 4 bytes.
    assert peak < 4 * SCORED_BATCH * llama.vocabulary_size * 4 < 600 * llama.vocabulary_size * 4


def test_generates_the_likeliest_tokens(llama: Llama) -> None:
    prompt = llama.tokenize("<bos>Question: What is 2 + 2?\n\nAnswer:")
    answer = llama.generate(prompt, 5)
    assert len(answer) == 5
    assert answer == [
        int(row.argmax()) for row in llama.logits([*prompt, *answer], len(prompt) - 1)[:-1]
    ]


def test_generation_ends_before_a_stop_token(llama: Llama) -> None:
    prompt = llama.tokenize("<bos>Question: What is 2 + 2?\n\nAnswer:")
    first = llama.generate(prompt, 1)[0]
    assert llama.generate(prompt, 5, stop_ids=[first]) == []


def test_metadata(llama: Llama) -> None:
    assert llama.metadata("general.name") == "tiny"
    assert (
        llama.metadata("tokenizer.chat_template")
        == (tiny_model() / "chat_template.jinja").read_text()
    )
    assert llama.metadata("no.such.key") is None


def test_too_long_is_an_error(llama: Llama) -> None:
    with pytest.raises(StageFailed, match="tokens do not fit into a context of"):
        llama.logits([2] * 2000)


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.gguf: no such file"):
        Llama(tmp_path / "none.gguf", 64, 1)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf().read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"llama\.cpp cannot load it"):
        Llama(cut, 64, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_later_row_that_is_not_finite_ends_the_answer(value: float) -> None:
    with Llama(tiny_gguf(), context_tokens=100, threads=1) as llama:
        tokens = llama.stream(llama.tokenize(TEXT)[:4], 20, stop_ids=[])
        llama.is_end = lambda _token: False  # type: ignore[method-assign]
        next(tokens), next(tokens)
        llama._row = np.array([1, value, 2], dtype=np.float32)
        with pytest.raises(StageFailed, match="not finite"):
            next(tokens)
