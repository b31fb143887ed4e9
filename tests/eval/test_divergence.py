"""Divergence from merged: by hand, against whole distributions, and on real tiny models."""

from __future__ import annotations

import base64
from math import log
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import entropy

from eval.backends import open_backend
from eval.backends.hf import HuggingFace
from eval.task import Setting, TaskScores
from eval.tasks.divergence import POSITIONS, TASK, DivergenceSample, divergence, likeliest, read
from stemma.errors import StageFailed
from stemma.jsonl import write_jsonl
from stemma.models import compare
from stemma.recipe.eval_tasks import DivergenceTask
from stemma.rows import PreferenceRow
from stemma.templates import Template
from tests.factories.models import TEMPLATE, make_gemma

OPTIONS = DivergenceTask(task="divergence")


def sample(probabilities: NDArray[np.float64], kept: int = 10, name: str = "1") -> DivergenceSample:
    """Rows of probabilities as a sample."""
    tokens, values = likeliest(np.log(probabilities).astype(np.float32), kept)
    return DivergenceSample(
        id=name,
        question_id=f"q{name}",
        positions=len(tokens),
        tokens=base64.b64encode(tokens.tobytes()).decode(),
        log_probs=base64.b64encode(values.tobytes()).decode(),
    )


def scored(ours: list[DivergenceSample], merged: list[DivergenceSample]) -> TaskScores:
    records = [[one.model_dump() for one in samples] for samples in (ours, merged)]
    return TASK.score_records(*records, 1, 0.1)


def test_the_likeliest_tokens_come_first_and_of_equals_the_lower_number() -> None:
    tokens, values = likeliest(np.array([[0.1, 0.4, 0.2, 0.4], [4, 3, 2, 1]], np.float32), 3)
    assert tokens.tolist() == [[1, 3, 2], [0, 1, 2]]
    assert values == pytest.approx(np.array([[0.4, 0.4, 0.2], [4, 3, 2]], np.float32))
    assert likeliest(np.array([[1.0, 2.0]], np.float32), 9)[0].tolist() == [[1, 0]]


def test_divergence_by_hand() -> None:
    p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.25, 0.5, 0.25]])
    [found] = divergence(sample(p), sample(q))
    expected = 0.5 * log(2) + 0.3 * log(0.6) + 0.2 * log(0.8)
    assert (found.kl, found.same) == (pytest.approx(expected, abs=1e-6), False)
    assert found.unseen == pytest.approx(0.0, abs=1e-6)
    [itself] = divergence(sample(p), sample(p))
    assert (itself.kl, itself.same) == (0.0, True)


def test_tokens_that_not_both_kept_count_as_one() -> None:
    # Both keep two: the one tokens 0 and 1, the other 0 and 2. Token 0, and all else.
    p, q = np.array([[0.5, 0.3, 0.2]]), np.array([[0.6, 0.1, 0.3]])
    [found] = divergence(sample(p, kept=2), sample(q, kept=2))
    assert found.kl == pytest.approx(0.5 * log(0.5 / 0.6) + 0.5 * log(0.5 / 0.4), abs=1e-6)
    assert (found.same, found.unseen) == (True, pytest.approx(0.5))


def test_what_is_kept_never_shows_more_than_there_is() -> None:
    """Of a vocabulary of 20,000, as peaked as a language model's, against scipy's whole one."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (8, 20_000))
    p = np.exp(logits)
    q = np.exp(logits + rng.normal(0, 0.3, logits.shape))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    whole = entropy(p, q, axis=1)
    few = [one.kl for one in divergence(sample(p, 1024), sample(q, 1024))]
    every = [one.kl for one in divergence(sample(p, 20_000), sample(q, 20_000))]
    assert (np.array(few) <= whole + 1e-6).all()
    assert np.mean(few) > 0.5 * np.mean(whole)
    assert every == pytest.approx(whole.tolist(), abs=2e-5)


def test_scores_are_means_over_positions() -> None:
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]])
    q = np.array([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1]])
    found = scored([sample(q), sample(p, name="2")], [sample(p), sample(p, name="2")])
    metrics = {metric.name: metric for metric in found.metrics}
    one = 0.5 * log(2) + 0.3 * log(0.6) + 0.2 * log(0.8)
    assert metrics["kl"].value == pytest.approx(one / 4, abs=1e-6)
    assert (metrics["kl"].low, metrics["kl"].high) == pytest.approx((0.0, one / 2), abs=1e-6)
    assert (metrics["top1_agreement"].value, metrics["top1_agreement"].n) == (0.75, 4)
    assert found.samples[0]["kl"] == pytest.approx(one / 2, abs=1e-6)
    assert "tokens" not in found.samples[0]
    assert found.facts["positions"] == 4


def test_one_answer_of_a_question_is_read(tmp_path: Path) -> None:
    rows = [
        {"id": f"{i}", "source": "s", "question_id": f"q{i // 2}", "prompt": "?"}
        | {"chosen": "a", "rejected": "b"}
        for i in range(6)
    ]
    write_jsonl(tmp_path / "test.jsonl", rows)
    kept, skipped = read(tmp_path / "test.jsonl", None)
    assert ([row.id for row in kept], skipped) == (["0", "2", "4"], 3)
    kept, skipped = read(tmp_path / "test.jsonl", 2)
    assert ([row.id for row in kept], skipped) == (["0", "2"], 4)


def pairs() -> list[PreferenceRow]:
    asked = {"source": "s", "rejected": "It is 3", "prompt": "What is 2 + 3?"}
    answers = ("2 + 3 = 5, since two and three more make five: 3, 4, 5.", "5")
    return [
        PreferenceRow(id=f"{i}", question_id=f"{i}", chosen=chosen, **asked)
        for i, chosen in enumerate(answers)
    ]


def test_the_figures_of_real_models_are_those_of_their_whole_logits(tmp_path: Path) -> None:
    """Two models of 448 tokens, one in llama.cpp: all tokens are kept."""
    from stemma.gguf_converter import convert

    make_gemma(tmp_path / "one", hidden=32, seed=0)
    make_gemma(tmp_path / "other", hidden=32, seed=1)
    convert(tmp_path / "other", tmp_path / "other.gguf", "F32", {"general.name": "small"})
    one = open_backend("hf", str(tmp_path / "one"), "<eos>", 1)
    other = open_backend("gguf", str(tmp_path / "other.gguf"), "<eos>", 1)
    setting = Setting(Template.read(TEMPLATE), OPTIONS, pairs(), tmp_path, 0.0)
    merged, ours = (list(TASK.measure(backend, setting)) for backend in (one, other))
    assert [row.ids_digest for row in merged] == [row.ids_digest for row in ours]
    assert [row.positions for row in merged] == [POSITIONS, 3]

    prompt = one.tokenize(setting.template.split(pairs()[0].conversation("x"))[0])
    answer = one.tokenize(setting.template.split(pairs()[0].conversation(pairs()[0].chosen))[1])
    ids, start = prompt + answer[: POSITIONS - 1], len(prompt) - 1
    whole = compare([(one.distributions(ids, start), other.distributions(ids, start))])
    metrics = {metric.name: metric.value for metric in scored(ours[:1], merged[:1]).metrics}
    assert metrics["kl"] == pytest.approx(whole.kl, rel=1e-4)
    assert metrics["kl"] > 0.1
    assert metrics["top1_agreement"] == whole.top1
    assert metrics["kl_unseen"] == pytest.approx(0, abs=1e-5)


def test_predictions_that_are_no_numbers_stop_it(tmp_path: Path) -> None:
    backend = open_backend("hf", str(make_gemma(tmp_path / "m", hidden=32)), "<eos>", 1)
    assert isinstance(backend, HuggingFace)
    with torch.no_grad():
        backend._model.get_input_embeddings().weight.fill_(float("nan"))
    setting = Setting(Template.read(TEMPLATE), OPTIONS, pairs(), tmp_path, 0.0)
    with pytest.raises(StageFailed, match="divergence: row 0: predictions that are not finite"):
        list(TASK.measure(backend, setting))
