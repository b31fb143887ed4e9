"""eval.how_far: one count for all variants, whichever worker it is told by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.how_far import HowFar, RowsTold, told_in
from stemma.progress import At


def test_rows_of_all_variants_are_one_count(capsys: pytest.CaptureFixture[str]) -> None:
    far = HowFar()
    far.plan({"base": 100, "sft": 0, "gguf-F16": 300})
    far.begin("base")
    assert capsys.readouterr().err == ("measuring: 0 of 400 rows, 0 %, base (1 of 2): loading\n")
    assert far.at(At("mcq", 40)) == At("measuring", 40, 400, "rows", "base (1 of 2): mcq")
    far.begin("sft")  # all of it is kept
    far.begin("gguf-F16")
    assert far.at(At("generation", 20)) == At(
        "measuring", 120, 400, "rows", "gguf-F16 (2 of 2): generation"
    )
    # Two of its tasks share rows: no more is told than was to be.
    assert far.at(At("generation", 310)).done == 400


def test_a_worker_counts_the_rows_it_keeps(tmp_path: Path) -> None:
    path = told_in(tmp_path / "gguf-F16.json")
    told = RowsTold(path)
    told.doing("loading")
    told.one_more("mcq")
    found = json.loads(path.read_text())
    assert path.name == "gguf-F16.progress"
    assert (found["doing"], found["done"]) == ("mcq", 1)
