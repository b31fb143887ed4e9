"""Test rows: none is nothing, an id is one row's, and a row is known by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.rows_to_score import read_task
from eval.tasks import TASKS
from stemma.errors import UserError
from stemma.jsonl import write_jsonl


def question(row: str, text: str) -> dict[str, Any]:
    return {
        "id": row,
        "source": "s",
        "question": text,
        "choices": ["1", "2"],
        "answer": "A",
        "meta": {},
    }


def digests(path: Path, rows: list[dict[str, Any]], limit: int | None = None) -> dict[str, str]:
    write_jsonl(path, rows)
    return read_task(TASKS["mcq"], "mcq", path, limit).digests


def test_a_row_is_known_by_its_content_wherever_it_stands(tmp_path: Path) -> None:
    rows = [question("a", "1 + 1?"), question("b", "1 + 0?")]
    found = digests(tmp_path / "one.jsonl", rows)
    assert list(found) == ["a", "b"]
    assert digests(tmp_path / "two.jsonl", rows[::-1]) == found
    assert digests(tmp_path / "three.jsonl", rows, limit=1) == {"a": found["a"]}
    changed = digests(tmp_path / "four.jsonl", [rows[0], rows[1] | {"answer": "B"}])
    assert changed["a"] == found["a"]
    assert changed["b"] != found["b"]


def test_an_id_of_several_rows_is_an_error(tmp_path: Path) -> None:
    rows = [question("a", "1 + 1?"), question("b", "1 + 0?"), question("a", "0 + 1?")]
    with pytest.raises(UserError) as caught:
        digests(tmp_path / "test.jsonl", rows)
    [problem] = caught.value.problems
    assert (problem.where, problem.found) == (
        str(tmp_path / "test.jsonl"),
        "1 ids stand at several rows: a",
    )
    assert problem.expected == "an id for each row"


def test_no_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"task `mcq` has no row to score \(0 skipped\)"):
        digests(tmp_path / "test.jsonl", [])


def test_a_task_without_rows_has_one_sample_of_its_own_name() -> None:
    found = read_task(TASKS["speed"], "speed", None, None)
    assert (found.rows, found.digests) == ([], {"speed": "speed"})
