from __future__ import annotations

import bz2
import gzip
import json
from pathlib import Path

import pytest

from rag.rows_of_files import rows_in

ROWS = [(number, f'A "quoted"\nfact of {number * 7919 % 10_007}.') for number in range(5000)]
TEXT = "".join(f'{number},"{text.replace(chr(34), chr(34) * 2)}"\n' for number, text in ROWS)
CSV = ("nr,fact\n" + TEXT).encode()
LINES = "".join(json.dumps({"nr": number, "fact": text}) + "\n" for number, text in ROWS).encode()
ARRAY = json.dumps([{"nr": number, "fact": text} for number, text in ROWS]).encode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV),
        ("a.csv.gz", gzip.compress(CSV)),
        ("a.tsv", CSV.replace(b",", b"\t")),
        ("a.jsonl", LINES),
        ("wiki_00.bz2", bz2.compress(LINES)),
        ("a.json", ARRAY),
    ],
)
def test_rows_are_reckoned_from_the_first_ones(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert rows_in([tmp_path / name], 500) == pytest.approx(5000, rel=0.05)


def test_several_files_and_nothing_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINES[: len(LINES) // 100])
    (tmp_path / "b.jsonl").write_bytes(LINES)
    (tmp_path / "none.jsonl").write_bytes(b"")
    both = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert rows_in(both, 500) == pytest.approx(5050, rel=0.03)
    assert rows_in([tmp_path / "none.jsonl"], 0) == 0
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(LINES)[:5000])
    assert rows_in([tmp_path / "cut.jsonl.gz"], 100) >= 0  # told when it is read


def test_a_parquet_file_says_how_many_it_has(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"x": list(range(1234))}), tmp_path / "a.parquet")
    assert rows_in([tmp_path / "a.parquet"], 10) == 1234


def test_a_damaged_parquet_file_is_told_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 rubbish")
    assert rows_in([tmp_path / "a.parquet"], 7) == 7
