"""Reading rows: what is tolerated, and how what is not is named by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.jsonl import read_dicts, read_rows
from stemma.rows import CorpusRow


def test_windows_files_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('\ufeff{"a": 1}\r\n\r\n{"a": "\u2028"}\n'.encode())
    assert read_dicts(path) == [{"a": 1}, {"a": "\u2028"}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"a": ', "not valid JSON (Expecting value at column 7)"),
        (b"[1]", "a JSON list\n  expected: one JSON object a line"),
        (b'{"a": "\xff"}', "not UTF-8: byte 0xff\n  expected: text in UTF-8"),
        (b"[" * 100_000, "brackets nested too deep to read"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number too long to read (Exceeds the limit (4300"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{}\n{}\n" + line + b"\n{}\n")
    with pytest.raises(UserError) as caught:
        read_dicts(path)
    assert str(caught.value).startswith(f"{path}:3: {said}")


def test_a_wrong_row_says_what_a_right_one_holds(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "1", "source": "s"}\n')
    with pytest.raises(
        UserError,
        match=r"rows\.jsonl:1: text: Field required\n  expected: an object of id, source, text",
    ):
        read_rows(path, CorpusRow)
