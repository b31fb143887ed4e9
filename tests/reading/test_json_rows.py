from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemma.errors import Problem
from stemma.reading.json_rows import NumberedRow, read_json_rows

ROWS = [{"q": "a", "n": [1]}, {"q": "b", "n": [2]}]
SHAPE = "JSON Lines, an array of objects, or one object with the rows under `data`"


def read(path: Path, content: str) -> list[NumberedRow]:
    path.write_text(content, encoding="utf-8")
    return list(read_json_rows(path))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "wrapped", [{"data": ROWS}, {"version": "1.1", "rows": ROWS}, {"records": ROWS, "n": 2}]
)
def test_an_object_that_wraps_rows_is_unwrapped(
    tmp_path: Path, wrapped: dict[str, object], indent: int | None
) -> None:
    key = next(key for key in ("data", "rows", "records") if key in wrapped)
    found = read(tmp_path / "t.json", "\ufeff" + json.dumps(wrapped, indent=indent))
    assert found == [(f" {key} row 1", ROWS[0]), (f" {key} row 2", ROWS[1])]


def test_objects_over_several_lines_may_follow_each_other(tmp_path: Path) -> None:
    text = "\n" + "\n".join(json.dumps(row, indent=1) for row in ROWS) + "\n"
    assert read(tmp_path / "t.jsonl", text) == [(":2", ROWS[0]), (":8", ROWS[1])]


def test_one_row_is_a_row_also_when_it_holds_objects(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}
    for indent in (None, 2):
        assert read(tmp_path / "t.json", json.dumps(row, indent=indent)) == [(":1", row)]
    assert read(tmp_path / "t.json", json.dumps({"data": ["x"]})) == [(":1", {"data": ["x"]})]
    assert read(
        tmp_path / "t.json", json.dumps({"data": ROWS}) + "\n" + json.dumps({"data": ROWS})
    ) == [
        (":1", {"data": ROWS}),
        (":2", {"data": ROWS}),
    ]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "table",
    [
        {"train": ROWS, "test": ROWS},
        {"q": ["a", "b"], "n": ["c", "d"]},
        {"q": {"0": "a"}, "n": {"0": 1}},
    ],
)
def test_several_tables_and_tables_by_column_give_one_error(
    tmp_path: Path, table: object, indent: int | None
) -> None:
    path = tmp_path / "t.json"
    [(where, problem)] = read(path, json.dumps(table, indent=indent))
    assert where == ""
    assert isinstance(problem, Problem)
    assert str(problem) == (
        f"{path}: one object of {', '.join(table)}, each with many rows\n  expected: {SHAPE}\n"  # type: ignore[call-overload]
        "  hint: save each split in a file of its own; from pandas: to_json(path, "
        "orient='records', lines=True)"
    )


def test_a_broken_object_gives_one_error_and_broken_lines_one_each(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    broken = json.dumps({"data": ROWS}, indent=2).replace('"b"', "b")
    assert [where for where, _ in read(path, broken[:40] + "\n\n")] == [":4"]
    assert [str(row) for _, row in read(path, broken)] == [
        f"{path}:10: not valid JSON (Expecting value)\n  expected: {SHAPE}"
    ]
    found = read(path, '{"q": \n{"q": "a"}\n{"q"}\n')
    assert [where for where, _ in found] == [":1", ":2", ":3"]
    assert found[1][1] == {"q": "a"}
