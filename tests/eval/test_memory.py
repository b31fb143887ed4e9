"""Evaluation holds no tokens x vocabulary: what it holds does not grow with the pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from eval.backends import hf
from eval.backends.interface import ScoreRequest
from tests.factories.models import VOCABULARY, make_gemma
from tests.held import Held

TOKENS = 25


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> hf.HuggingFace:
    return hf.HuggingFace(
        str(make_gemma(tmp_path_factory.mktemp("memory") / "model", hidden=32)), "<eos>", 1
    )


def pairs(count: int) -> list[ScoreRequest]:
    """Each with two answers of TOKENS tokens."""
    torch.manual_seed(0)
    ids = torch.randint(5, VOCABULARY, (count, 2, TOKENS)).tolist()
    return [ScoreRequest([2, 120, 121], answers) for answers in ids]


def held(backend: hf.HuggingFace, count: int) -> int:
    with Held() as found:
        scores = backend.log_probs(pairs(count))
    assert sum(len(answer) for answers in scores for answer in answers) == count * 2 * TOKENS
    return found.most


def test_twice_the_pairs_hold_no_more(
    backend: hf.HuggingFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hf, "BATCH_TOKENS", 8 * 28)
    few, many = held(backend, 10), held(backend, 40)
    assert many - few < 60 * TOKENS, "less than a byte for each of 1,500 tokens more"


def test_one_long_answer_is_scored_in_tiles(
    backend: hf.HuggingFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stemma import models

    requests = pairs(8)
    whole = backend.log_probs(requests)
    plain = held(backend, 8)
    monkeypatch.setitem(models.TILE_LOGITS, "cpu", 3 * VOCABULARY)
    assert held(backend, 8) < plain - 100 * VOCABULARY * 4, "a tile is 3 positions, not 400"
    assert flat(backend.log_probs(requests)) == pytest.approx(flat(whole), abs=1e-5)


def test_scores_are_those_of_plain_logits(backend: hf.HuggingFace, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(make_gemma(tmp_path, hidden=32))
    requests = [
        *pairs(3),
        ScoreRequest([2, 120], [[7], [8], [121, 9], [7]]),
        ScoreRequest([2, 120, 121], [[9]]),
    ]
    expected = []
    for request in requests:
        for answer in request.answers:
            with torch.no_grad():
                rows: Any = (
                    model(torch.tensor([[*request.prompt, *answer]]))
                    .logits[0]
                    .double()
                    .log_softmax(-1)
                )
            expected += [
                float(rows[len(request.prompt) - 1 + i, token]) for i, token in enumerate(answer)
            ]
    assert flat(backend.log_probs(requests)) == pytest.approx(expected, abs=1e-5)


def flat(scores: list[list[list[float]]]) -> list[float]:
    return [value for answers in scores for answer in answers for value in answer]
