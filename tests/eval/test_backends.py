"""One tiny random model in both engines: batched equals one by one, and both engines agree."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from eval.backends import open_backend
from eval.backends.interface import Backend, ScoreRequest
from export.bnb import quantise_folder
from stemma.templates import Template
from tests.factories.models import TEMPLATE, make_gemma

QUESTIONS = [
    "What is 3 + 4?",
    "Which unit measures force?\n\nOptions:\nA. newton\nB. joule",
    "12?",
    "émile × 5 ∑ 中",
]


@pytest.fixture(scope="module")
def hf(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return open_backend(
        "hf",
        str(make_gemma(tmp_path_factory.mktemp("hf") / "model", hidden=32, layers=2)),
        "<eos>",
        1,
    )


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    from stemma.gguf_converter import convert

    folder = tmp_path_factory.mktemp("gguf")
    make_gemma(folder / "model", hidden=32, layers=2)
    convert(folder / "model", folder / "small.gguf", "F32", {"general.name": "small"})
    return open_backend("gguf", str(folder / "small.gguf"), "<eos>", 1)


def prompts(backend: Backend) -> list[list[int]]:
    return [backend.tokenize(f"<bos>Question: {question}\n\nAnswer:") for question in QUESTIONS]


def requests(backend: Backend) -> list[ScoreRequest]:
    answers = [backend.tokenize(text) for text in (" A", " 7<eos>", " the force is 12 newton<eos>")]
    return [ScoreRequest(prompt, answers) for prompt in prompts(backend)]


def test_padded_batches_generate_what_single_prompts_do(hf: Backend) -> None:
    assert hf.generate(prompts(hf), 12) == [hf.generate([prompt], 12)[0] for prompt in prompts(hf)]


def test_padded_batches_score_what_single_sequences_do(hf: Backend) -> None:
    together = hf.log_probs(requests(hf))
    for request, found in zip(requests(hf), together, strict=True):
        for answer, values in zip(request.answers, found, strict=True):
            assert values == pytest.approx(
                hf.log_probs([ScoreRequest(request.prompt, [answer])])[0][0], abs=1e-5
            )


def test_log_probs_are_those_of_the_next_token_step_by_step(hf: Backend) -> None:
    prompt, answer = prompts(hf)[0], hf.tokenize(" 7<eos>")
    steps = [float(hf.next_log_probs(prompt + answer[:i])[token]) for i, token in enumerate(answer)]
    assert hf.log_probs([ScoreRequest(prompt, [answer])])[0][0] == pytest.approx(steps, abs=1e-5)


def test_extend_goes_on_past_stop_tokens(hf: Backend) -> None:
    assert len(hf.extend(prompts(hf)[0], 20)) == 20


def test_an_answer_ends_with_its_stop_token() -> None:
    from eval.backends.hf import cut

    assert cut([5, 6, 1, 0, 0], stop=1) == [5, 6, 1]
    assert cut([5, 6, 7], stop=1) == [5, 6, 7]


def test_both_engines_agree(hf: Backend, gguf: Backend) -> None:
    assert prompts(hf) == prompts(gguf)
    assert (
        np.abs(hf.next_log_probs(prompts(hf)[0]) - gguf.next_log_probs(prompts(hf)[0])).max() < 1e-3
    )
    ours, theirs = hf.log_probs(requests(hf)), gguf.log_probs(requests(gguf))
    flat = [np.concatenate([answer for row in found for answer in row]) for found in (ours, theirs)]
    assert np.abs(flat[0] - flat[1]).max() < 1e-3


def test_llama_cpp_opens_a_larger_context_when_asked_for_more(gguf: Backend) -> None:
    prompt = prompts(gguf)[0] * 30
    assert len(prompt) > 256
    assert len(gguf.extend(prompt, 3)) == 3
    assert np.isfinite(gguf.next_log_probs(prompt)).all()


def test_quantised_sequences_are_scored_alone(tmp_path: Path) -> None:
    """int8 keeps a column whole where any row of a batch has an outlier in it: neighbours change an
    answer's score."""
    model = make_gemma(tmp_path / "model", hidden=64, layers=2)
    tensors = load_file(model / "model.safetensors")
    for name in tensors:
        if "layernorm" in name:
            tensors[name] += 4 * torch.rand(
                64, generator=torch.Generator().manual_seed(0)
            )  # some beyond bnb's 6.0
    save_file(tensors, model / "model.safetensors", {"format": "pt"})
    quantise_folder(model, tmp_path / "int8", "int8", Template.read(TEMPLATE))
    backend = open_backend("hf", str(tmp_path / "int8"), "<eos>", 1)
    together = backend.log_probs(requests(backend))
    pairs = [(one.prompt, answer) for one in requests(backend) for answer in one.answers]
    alone = [backend.log_probs([ScoreRequest(prompt, [answer])])[0][0] for prompt, answer in pairs]
    assert [values for found in together for values in found] == alone
