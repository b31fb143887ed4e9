"""Findings of benchmarks count only as they were written."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.harness.job import read_findings, write_findings

FOUND = {"key": "0123", "tasks": {}, "samples": {"sums": [{"acc": 1.0}]}, "facts": {"seconds": 1.5}}


def test_findings_are_read_back(tmp_path: Path) -> None:
    write_findings(tmp_path / "a.json", FOUND)
    found = read_findings(tmp_path / "a.json")
    assert found
    assert found.model_dump() == FOUND


@pytest.mark.parametrize(
    ("old", "new"), [("1.0", "0.0"), ("0123", "0124"), ('"findings"', '"found"'), ("{", "[")]
)
def test_findings_that_were_changed_do_not_count(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "a.json"
    write_findings(path, FOUND)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    assert read_findings(path) is None
