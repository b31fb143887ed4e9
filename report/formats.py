"""Tables as CSV, JSON and LaTeX, for spreadsheets, programs and papers.

Cells stand there as the page prints them; the table of all scores holds its numbers in full
precision. Pure.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable

from report.readable import words
from report.run_data import Table
from stemma.visible import visible

LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "Δ": r"$\Delta$",
    "β": r"$\beta$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "…": r"\ldots{}",
    "’": "'",
}
"""Characters that mean something else to LaTeX, or that its plain fonts lack."""
LONG = 24
"""Characters, above which a LaTeX column breaks its lines."""
PARAGRAPH = "40mm"
PARAGRAPH_POINTS = 114
PAGE = 345
"""Points of a line in LaTeX's own class `article`."""
CHARACTER, BETWEEN = 5.5, 12
"""Points of a character at 10 pt, on the large side, and of the space between two columns."""
FORMULA = re.compile(r"[=@\t\r]|[+-](?![\d.])")
"""The beginning of a text that a spreadsheet would run as a formula."""


def as_csv(table: Table, exact: bool = False) -> str:
    """Comma-separated values with a head line, by RFC 4180; numbers in full where `exact`."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(table.heads)
    for row in table.rows:
        writer.writerow([_csv_cell(value, exact) for value in row])
    return stream.getvalue()


def _csv_cell(value: object, exact: bool) -> str:
    if value is None:
        return ""
    if exact and _is_number(value):
        return repr(value) if math.isfinite(float(str(value))) else words(value)
    text = visible(words(value))
    return f"'{text}" if FORMULA.match(text) else text


def as_json(table: Table, exact: bool = False) -> str:
    """A list of objects, one a row; numbers as numbers where `exact`, else as printed."""
    heads = list(table.heads)
    rows = [
        dict(zip(heads, (_json_cell(value, exact) for value in row), strict=True))
        for row in table.rows
    ]
    return json.dumps(rows, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _json_cell(value: object, exact: bool) -> object:
    if value is None or isinstance(value, bool):
        return value
    if exact and _is_number(value) and math.isfinite(float(str(value))):
        return value
    return visible(words(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_latex(table: Table, exact: bool = False) -> str:
    """A `longtable` with rules, to be given by \\input; needs the packages longtable and booktabs.
    A table wider than a page is several, one behind the other, each with the first column.

    `exact` changes nothing: a paper prints rounded figures.
    """
    del exact
    parts = (_longtable(table, columns) for columns in _page_wide(table))
    return "% \\usepackage{longtable,booktabs}\n" + "\n".join(parts)


def _longtable(table: Table, columns: list[int]) -> str:
    """Some columns of the table."""
    heads = list(table.heads)
    lines = [
        rf"\begin{{longtable}}{{{''.join(_alignment(table, column) for column in columns)}}}",
        r"\toprule",
        " & ".join(latex(str(heads[column])) for column in columns) + r" \\",
        r"\midrule",
        r"\endhead",
        *(
            " & ".join(latex(words(row[column])) for column in columns) + r" \\"
            for row in table.rows
        ),
        r"\bottomrule",
        r"\end{longtable}",
    ]
    return "\n".join(lines) + "\n"


def _page_wide(table: Table) -> list[list[int]]:
    """The columns in parts that fit a page; the first column leads each."""
    first, *others = (_points(table, column) for column in range(len(table.heads)))
    parts: list[list[int]] = [[0]]
    left = PAGE - first
    for column, points in enumerate(others, start=1):
        if points > left and len(parts[-1]) > 1:
            parts.append([0])
            left = PAGE - first
        parts[-1].append(column)
        left -= points
    return parts


def _points(table: Table, column: int) -> float:
    """About how wide a column is printed."""
    texts = [str(list(table.heads)[column]), *(words(row[column]) for row in table.rows)]
    longest = max(map(len, texts)) * CHARACTER
    is_paragraph = _alignment(table, column).startswith("p")
    return (PARAGRAPH_POINTS if is_paragraph else longest) + BETWEEN


def _alignment(table: Table, column: int) -> str:
    """Right for numbers; a paragraph for long texts."""
    if table.is_numeric(column):
        return "r"
    longest = max((len(words(row[column])) for row in table.rows), default=0)
    return f"p{{{PARAGRAPH}}}" if longest > LONG else "l"


def latex(text: str) -> str:
    """A text that LaTeX prints as it stands, on one line.

    A bracket at a row's beginning would be taken for an argument of the line before, so each
    stands in braces. A path may break its line behind a slash, a name behind an underscore.
    """
    plain = "".join(LATEX.get(character, character) for character in visible(text))
    plain = plain.replace("[", "{[}").replace("]", "{]}")
    return plain.replace("/", r"/\allowbreak{}").replace(r"\_", r"\_\allowbreak{}")


FORMATS: dict[str, Callable[[Table, bool], str]] = {
    "csv": as_csv,
    "json": as_json,
    "tex": as_latex,
}
"""Each format by the ending of its files."""
