from __future__ import annotations

import datetime
from typing import Any

import pytest

from stemma.reading.columns import (
    Cells,
    NoColumn,
    NoText,
    as_text,
    find_fault,
    is_missing,
    names_in,
    paths,
)

ROW: dict[str, Any] = {
    "a": "one ",
    "b": "",
    "a.b": "dotted",
    "{a}": "braces",
    "n": {"x": [{"y": 3}, {"y": None}], "z": None},
}


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("a", "one"),
        ("=a", "a"),
        ("a.b", "dotted"),
        ("{a}", "braces"),
        ("n.x[0].y", "3"),
        ("n.x.0.y", "3"),
        ("n.x[1].y", ""),
        ("n.x[7].y", ""),
        ("n.z.deeper", ""),
        ("{a}: {n.x[0].y}", "one: 3"),
        ("{a}\n\n{b}", "one"),
        ("{b}\n\n{a}", "one"),
        ("{a}\n\nMore: {b}\n\nEnd", "one\n\nEnd"),
        ("{b} {a}\n{b}{b}\n{a}", "one\none"),
    ],
)
def test_columns_paths_and_joins(wanted: str, text: str) -> None:
    assert Cells(ROW).text(wanted) == text


def test_a_path_leads_into_what_a_csv_file_holds_as_text() -> None:
    row = {
        "json": '{"text": ["Ann"], "n": {"x": "[1, [2]]"}}',
        "python": "{'text': ['Ann']}",
        "list": "['Ann' 'Bo']",
    }
    cells = Cells({**row, "empty": " ", "plain": "x [0]"})
    assert [
        cells.text(path) for path in ("json.text[0]", "json.n.x[1][0]", "python.text[0]", "list[1]")
    ] == ["Ann", "2", "Ann", "Bo"]
    assert cells.text("empty.text[0]") == cells.text("python.text[1]") == ""
    assert cells.text("json") == row["json"]
    for path in ("plain[0]", "python.words"):
        with pytest.raises(NoColumn):
            cells.text(path)


def test_what_was_read_is_known_by_its_column() -> None:
    cells = Cells(ROW)
    cells.text("{n.x[0].y} {b}")
    assert cells.read == {"n", "b"}
    assert names_in("{n.x[0].y} {b}") == ["n.x[0].y", "b"]
    assert (names_in("a"), names_in("=a")) == (["a"], [])


@pytest.mark.parametrize("wanted", ["c", "n.c", "a[0]", "n.x.y", "{a} {c}"])
def test_a_path_that_leads_nowhere_is_named(wanted: str) -> None:
    with pytest.raises(NoColumn) as caught:
        Cells(ROW).text(wanted)
    assert caught.value.path == wanted.removeprefix("{a} ").strip("{}")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (2.5, "2.5"),
        (True, "true"),
        (None, ""),
        (float("nan"), ""),
        ([], ""),
        ({}, ""),
        (" ", ""),
        (datetime.date(2024, 5, 1), "2024-05-01"),
    ],
)
def test_scalars_are_text_and_what_is_missing_is_empty(value: Any, text: str) -> None:
    assert as_text(value, "c") == text
    assert is_missing(value) == (text == "")


@pytest.mark.parametrize(
    ("value", "said", "hint"),
    [
        (["x"], "`c` holds a list of 1", "give a path into it, e.g. `c[0]`"),
        ({"x": {"y": [1]}}, "`c` holds an object of x", "give a path into it, e.g. `c.x.y[0]`"),
        (b"ab", "`c` holds 2 bytes", ""),
    ],
)
def test_structures_and_bytes_are_no_text(value: Any, said: str, hint: str) -> None:
    with pytest.raises(NoText) as caught:
        as_text(value, "c")
    assert (str(caught.value), caught.value.hint) == (said, hint)


def test_paths_lead_to_every_text() -> None:
    assert list(paths({"a": 1, "n": {"x": [{"y": 3}], "e": []}})) == ["a", "n.x[0].y", "n.e"]


def test_faults_of_writing_are_found_without_a_row() -> None:
    assert find_fault("{a}\n{b.c[0]}") is None
    assert find_fault("={a") is None
    assert "in pairs" in (find_fault("{a} {b") or "")
    assert "in pairs" in (find_fault("{a} {{b}}") or "")
    assert "double quotes" in (find_fault("{a}\\n{b}") or "")
