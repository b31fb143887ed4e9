"""Files as they are found: encodings, delimiters, columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_builders.new_recipe.look import find_delimiter, find_encoding, look
from stemma.errors import UserError

GERMAN = "Frage;Lösung\nWie groß ist π·r² für r = 2 m?;„12,57 m²“\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("Größe".encode(), "utf-8"),
        ("\ufeffGröße".encode(), "utf-8"),
        ("Größe; 3 m/s²; 20 °C; „so“".encode("cp1252"), "cp1252"),
        ("Größe".encode("utf-16"), "utf-16"),
        (("Сила измеряется в ньютонах. " * 20).encode("cp1251"), "cp1251"),
        (b"", "utf-8"),
    ],
)
def test_the_encoding_is_seen(data: bytes, expected: str) -> None:
    assert find_encoding(data) == expected


def test_utf8_cut_within_a_sign_is_utf8() -> None:
    whole = "Größen".encode() * 100
    assert {find_encoding(whole[:end]) for end in range(590, 600)} == {"utf-8"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb, c\n1\t2\n", "\t"),
        ("a|b\n1|2\n", "|"),
        ('a,b\n"x;y;z",2\n', ","),
        ("question\nWhat?\n", ","),
    ],
)
def test_the_delimiter_is_seen(text: str, expected: str) -> None:
    assert find_delimiter(text) == expected


def test_excels_csv_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "fragen.csv"
    path.write_bytes(GERMAN.replace("π", "3,14").encode("cp1252"))
    seen = look(path)
    assert (seen.form.encoding, seen.form.delimiter) == ("cp1252", ";")
    assert seen.columns == ("Frage", "Lösung")
    assert seen.values("Lösung") == ["„12,57 m²“"]


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("notes.docx", "x", "a file of type '.docx'"),
        ("empty.csv", "", "no rows in it"),
        ("header.csv", "question,answer\n", "no rows in it"),
        ("gone.csv", None, "no such file"),
    ],
)
def test_what_is_no_table_is_said(
    tmp_path: Path, name: str, content: str | None, found: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=found):
        look(tmp_path / name)
