from __future__ import annotations

import csv
import io
import json
import re

import pytest

from report.formats import as_csv, as_json, as_latex, latex
from report.run_data import Table

TABLE = Table(
    ("Name", "Share", "n"),
    [
        ["a_b & 50 %", 0.123456789, 1200],
        ['say "x", y', None, 3],
        ["[0.1–0.2]", -1.5, None],
    ],
)


def test_csv_comes_back_as_it_was() -> None:
    rows = list(csv.reader(io.StringIO(as_csv(TABLE), newline="")))
    assert rows == [
        ["Name", "Share", "n"],
        ["a_b & 50 %", "0.123", "1,200"],
        ['say "x", y', "", "3"],
        ["[0.1–0.2]", "−1.50", ""],
    ]
    exact = list(csv.reader(io.StringIO(as_csv(TABLE, exact=True), newline="")))
    assert [row[1:] for row in exact[1:]] == [["0.123456789", "1200"], ["", "3"], ["-1.5", ""]]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-cmd", "'-cmd"),
        ("+0.020 [0 to 1]", "+0.020 [0 to 1]"),
        ("-5", "-5"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_text_is_no_formula_of_a_spreadsheet(text: str, cell: str) -> None:
    [_, [found]] = list(csv.reader(io.StringIO(as_csv(Table(["x"], [[text]])), newline="")))
    assert found == cell


def test_json_has_numbers_where_they_are_exact() -> None:
    assert json.loads(as_json(TABLE, exact=True))[0] == {
        "Name": "a_b & 50 %",
        "Share": 0.123456789,
        "n": 1200,
    }
    assert json.loads(as_json(TABLE))[2] == {"Name": "[0.1–0.2]", "Share": "−1.50", "n": None}


def test_what_is_not_finite_is_said_and_is_valid_json() -> None:
    table = Table(["x"], [[float("nan")], [float("inf")]])
    assert json.loads(as_json(table, exact=True)) == [{"x": "not finite"}] * 2
    assert as_csv(table) == "x\r\nnot finite\r\nnot finite\r\n"


def test_latex_escapes_what_means_something() -> None:
    assert latex(r"\a{b} 5% #1 x_y ~ ^ $ & <z>") == (
        r"\textbackslash{}a\{b\} 5\% \#1 x\_\allowbreak{}y \textasciitilde{} \textasciicircum{} \$ \& "
        r"\textless{}z\textgreater{}"
    )
    assert latex("Δ −0.1 [0–1]") == r"$\Delta$ $-$0.1 {[}0--1{]}"


def test_a_path_may_break_its_line_in_latex() -> None:
    assert latex("samples/base") == r"samples/\allowbreak{}base"


def test_a_latex_table_is_whole() -> None:
    text = as_latex(TABLE)
    assert r"\begin{longtable}{lrr}" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + len(TABLE.rows)
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}
    assert text.count("{") == text.count("}")


def test_long_texts_break_their_lines_in_latex() -> None:
    table = Table(["Words", "n"], [["word " * 40, 1]])
    assert r"{p{40mm}r}" in as_latex(table)


def test_a_table_wider_than_a_page_is_several_with_the_first_column_each() -> None:
    heads = ["Variant", *(f"Figure number {number}" for number in range(12))]
    text = as_latex(Table(heads, [["base", *range(12)]]))
    parts = text.split(r"\begin{longtable}")[1:]
    assert [part.count("Variant & ") for part in parts] == [1] * len(parts)
    assert len(parts) == 4  # three columns of 94 or 100 points beside one of 50, of 345
    assert sum(text.count(f"Figure number {number} ") for number in range(12)) == 12
