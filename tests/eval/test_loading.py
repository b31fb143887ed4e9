"""Loads of real weights, timed in a process of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.cells import jobs_of
from eval.loading import loaded_again
from stemma.errors import StageFailed
from stemma.jsonl import write_json
from tests.factories.run_to_score import make_recipe, make_work


def test_weights_are_loaded_five_times_and_a_failure_is_told(tmp_path: Path) -> None:
    work = make_work(tmp_path, make_recipe(["gguf-F16"], [{"task": "speed"}]))
    [job] = jobs_of(work)
    path = tmp_path / "job.json"
    write_json(path, job.model_dump())
    seconds = loaded_again(path, job.variant)
    assert len(seconds) == 5
    assert all(0 < one < 30 for one in seconds)
    broken = job.variant.model_copy(update={"weights": str(tmp_path / "none.gguf")})
    write_json(path, job.model_copy(update={"variant": broken}).model_dump())
    with pytest.raises(StageFailed, match="loading gguf-F16 failed"):
        loaded_again(path, broken)
