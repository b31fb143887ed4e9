"""export.score: merged's logits wait in a file; every other folder is compared with them and leaves
figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from export import score
from export.hf_folder import answer_logits, weights_digest
from stemma.models import Agreement, compare
from tests.factories.models import make_gemma, tiny_model

SAMPLES = [([2, 120, 130, 140], 1), ([2, 200], 0), ([2, 210, 220, 230, 240, 250], 4)]


def test_logits_are_read_back_sample_by_sample(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    score.write_reference(tiny_model(), SAMPLES, tmp_path)
    found = score.scored(tmp_path, SAMPLES)
    model = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
    expected = list(answer_logits(model, SAMPLES))
    for _ in range(2):  # every variant reads it anew
        assert [logits.shape for logits in found] == [(3, 448), (2, 448), (2, 448)]
        assert all(
            np.array_equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True)
        )


def test_the_child_leaves_figures_only(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    other = make_gemma(tmp_path / "other", seed=1)
    request = {"folders": {"merged": str(tiny_model()), "other": str(other)}, "samples": SAMPLES}
    (tmp_path / "request.json").write_text(json.dumps(request))
    score.main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "other",
        "request.json",
        "merged.f32",
        "other.json",
        "progress.json",
    }
    found = score._read(tmp_path, "other")
    model = AutoModelForCausalLM.from_pretrained(other, dtype="auto")
    assert found.digest == weights_digest(model)
    pairs = zip(score.scored(tmp_path, SAMPLES), answer_logits(model, SAMPLES), strict=True)
    assert found.drift == compare(pairs)
    assert found.drift != Agreement(0.0, 0.0, 1.0, 7)
    assert found.drift.positions == 7


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    """numpy's `tofile` told how many values were written, and nobody could tell why."""
    (tmp_path / "merged.f32").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        score.write_reference(tiny_model(), SAMPLES, tmp_path)
