"""The files of a new recipe, told apart: tables of rows, and documents to search."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma.errors import Problem, Problems, UserError
from stemma.reading.tables import FORMATS

MARKUP = (".md", ".markdown", ".mdown", ".html", ".htm", ".xhtml", ".pdf")
PLAIN = (".txt", ".text")
DOCUMENTS = (*MARKUP, *PLAIN, ".rst")
"""Ends of names of the documents that passages are made of."""
NOTES = ("readme", "licence", "license")
"""Files beside tables that are about them."""
_LINES = 20
_AIKEN = re.compile(r"^ANSWER:\s*[A-Z]\s*$", re.MULTILINE)
_GIFT = re.compile(r"\{[^{}]*(?:^|\s)[=~][^{}]*\}", re.DOTALL)


@dataclass(frozen=True)
class GivenFiles:
    """Tables of rows, and documents or folders of them."""

    tables: list[Path]
    documents: list[Path]


def told_apart(paths: Sequence[Path]) -> GivenFiles:
    """The tables, and the documents. Raises UserError with all that is neither."""
    problems = Problems()
    tables: list[Path] = []
    documents: list[Path] = []
    for path in _whole_names(paths):
        if path.is_dir():
            _look_into(path, tables, documents, problems)
        elif path.suffix.lower() in DOCUMENTS and path.is_file():
            if problem := _is_a_table(path):
                problems.add([problem])
            documents.append(path)
        else:
            tables.append(path)  # whatever it is: a table says best what it is not
    places = [path.resolve() for path in tables]
    for path in {path for path in tables if places.count(path.resolve()) > 1}:
        problems.add([Problem(str(path), "given more than once", "each file once")])
    if not tables and not problems:
        expected = "a table of questions, with answers or choices"
        problems.add([Problem("FROM", "no table among the files", expected, 'FROM="my.csv notes"')])
    if problems:
        raise UserError(problems.listed())
    return GivenFiles(tables, documents)


def _whole_names(paths: Sequence[Path]) -> list[Path]:
    """The paths, where a name was cut at its blanks (`FROM="My questions.csv"`) put together."""
    left = list(paths)
    whole: list[Path] = []
    while left:
        for end in range(len(left), 1, -1):
            joined = Path(" ".join(map(str, left[:end])))
            if not left[0].exists() and joined.exists():
                left[:end] = [joined]
                break
        whole.append(left.pop(0))
    return whole


def _look_into(folder: Path, tables: list[Path], documents: list[Path], problems: Problems) -> None:
    """What a folder holds: its tables, if it has some; else documents."""
    inside = sorted(path for path in folder.iterdir() if path.suffix.lower() in FORMATS)
    if inside:
        tables += inside
        documents += sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in DOCUMENTS and path.stem.casefold() not in NOTES
        )
    elif any(path.suffix.lower() in DOCUMENTS for path in folder.rglob("*")):
        documents.append(folder)
    else:
        expected = f"tables ({', '.join(FORMATS)}) or documents ({', '.join(DOCUMENTS)})"
        problems.add([Problem(str(folder), "a folder without either", expected)])


def _is_a_table(path: Path) -> Problem | None:
    """What is wrong where a text file holds no text to read but questions."""
    if path.suffix.lower() not in PLAIN:
        return None
    data = path.read_bytes()[: 1 << 16]
    is_wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = data.decode("utf-16" if is_wide else "utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()][:_LINES]
    expected = "a table by its name, or a text to search"
    if lines and sum("\t" in line for line in lines) > len(lines) / 2:
        hint = (
            f"rename it to {path.with_suffix('.tsv').name}, with a line `question<tab>answer` "
            "above the rest; lines that begin with # go"
        )
        return Problem(str(path), "a table by its content: cells between tabs", expected, hint)
    if _AIKEN.search(text) or _GIFT.search(text):
        hint = "copy the questions into a table: question, a column for each choice, answer"
        return Problem(str(path), "questions in a form of Moodle's", expected, hint)
    return None
