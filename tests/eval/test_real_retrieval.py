"""A real model reads what was found for it: SmolLM2 135M on SciQ's questions, in its own chat
template, without options in view. Beyond the interval of paired differences, or it fails."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("ir_measures")

from bench.retrieval_arms import FILE, FORMS, arms_of, measured
from eval.arms import compared_arms
from stemma import ROOT
from stemma.errors import UserError
from stemma.from_gguf.smollm2 import cache, fetch

REAL = Path(os.environ.get("STEMMA_DATA", ROOT.parent / "shared" / "data"))
QUESTIONS = 80
"""The first 80 of those that the bench draws."""


@pytest.mark.slow
@pytest.mark.skipif(not (REAL / FILE).is_file(), reason=f"no {FILE} in {REAL} (STEMMA_DATA)")
def test_retrieved_passages_beat_closed_book_and_chance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEMMA_DATA", str(REAL))
    try:
        fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(f"no SmolLM2: {error}")
    arms = arms_of(tmp_path, QUESTIONS, 1)
    form = "cloze, chat"
    scored = measured(tmp_path, arms, {form: FORMS[form]})[form]
    found = {
        (one.variant, one.against): one for one in compared_arms(scored) if one.metric == "accuracy"
    }
    for against in ("smollm2", "smollm2+random"):
        one = found["smollm2+retrieved", against]
        assert one.n == QUESTIONS
        assert one.low > 0, one
        assert one.p_holm < 0.01, one
    chance = found["smollm2+random", "smollm2"]
    assert chance.low < 0.05, "passages of any kind do not help"
