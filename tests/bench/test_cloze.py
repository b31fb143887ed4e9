"""Cloze scores are lm-evaluation-harness's own, choice by choice, on a model made on the spot."""

from __future__ import annotations

import pytest

pytest.importorskip("lm_eval")

from bench.cloze import ours, theirs
from stemma.rows import McqRow
from tests.factories.models import tiny_gguf, tiny_model


def rows() -> list[McqRow]:
    lists = (["newton", "joule"], ["10", "100", "1 000 N"], ["a b c", "émile × 5", "x", "7 / 8"])
    return [
        McqRow(id=f"q{n}", source="s", question=f"Force {n}?", choices=choices, answer="B")
        for n, choices in enumerate([*lists, *lists[::-1]])
    ]


@pytest.mark.slow
def test_every_choice_is_scored_as_the_harness_scores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    other = theirs(tiny_model(), rows())
    mine = ours("hf", tiny_model(), rows(), "<eos>")
    assert [len(one) for one in other.log_probs] == [2, 3, 4, 4, 3, 2]
    assert mine.apart(other) < 1e-3
    assert (mine.accuracy, mine.by_length) == (other.accuracy, other.by_length)
    assert ours("gguf", tiny_gguf(), rows(), "<eos>").apart(other) < 0.1
