from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from stemma import ROOT
from stemma.errors import Problem, UserError
from stemma.reading.json_rows import NumberedRow
from stemma.reading.tables import CSV, CsvForm, HubSet, read_hub, read_table

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def read(path: Path, content: str | bytes, form: CsvForm = CSV) -> list[NumberedRow]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_table(path, form))


def problems(found: list[NumberedRow]) -> list[str]:
    return [str(row) for _, row in found if isinstance(row, Problem)]


def test_json_lines_keep_their_numbers_and_a_bad_line_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    found = read(
        path, b'\xef\xbb\xbf{"a": "\xe2\x80\xa8"}\r\n\n{"a": \n[1]\n{"a": "\xff"}\n{"a": NaN}'
    )
    assert [where for where, _ in found] == [":1", ":3", ":4", ":5", ":6"]
    assert found[0][1] == {"a": "\u2028"}
    assert isinstance(found[-1][1], dict)
    assert math.isnan(found[-1][1]["a"])
    assert problems(found) == [
        f"{path}:3: not valid JSON (Expecting value at column 7): '{{\"a\": '\n"
        "  expected: one JSON value\n  hint: repair or delete this line",
        f"{path}:4: a JSON list\n  expected: one JSON object a line",
        f"{path}:5: not UTF-8: byte 0xff\n  expected: text in UTF-8\n"
        "  hint: save it again as UTF-8 (in Excel: CSV UTF-8)",
    ]


def test_an_array_of_objects_is_told_from_lines_whatever_the_name(tmp_path: Path) -> None:
    array = '\ufeff[\n  {"a": "x, ]",\n   "b": [1, {}]},\n  {"a": "\\ud83d"}\n]\n'
    assert read(tmp_path / "t.json", array) == [
        (":2", {"a": "x, ]", "b": [1, {}]}),
        (":4", {"a": "\ud83d"}),
    ]
    assert read(tmp_path / "t.jsonl", '[{"a": 1}, {"a": 2}]') == [
        (":1 row 1", {"a": 1}),
        (":1 row 2", {"a": 2}),
    ]
    assert read(tmp_path / "t.json", '{"a": 1}\n{"a": 2}\n') == [(":1", {"a": 1}), (":2", {"a": 2})]
    assert read(tmp_path / "t.json", " [ ] ") == []
    assert read(tmp_path / "t.json", "") == []


TOO_LONG = (
    "a number too long to read (Exceeds the limit (4300 digits) for integer string conversion: "
    "value has 5000 digits)"
)


@pytest.mark.parametrize(
    ("content", "where", "found"),
    [
        ('[{"a": 1}\n {"a": 2}]', 1, "not valid JSON (Expecting ',' or ']')"),
        ('[{"a": 1},\n]', 2, "not valid JSON (Expecting value)"),
        ('[{"a": 1},\n{"a": }]', 2, "not valid JSON (Expecting value)"),
        ('[{"a": 1}', 1, "not valid JSON (Expecting ',' or ']')"),
        ('[{"a": 1}]\n[]', 1, "not valid JSON (Expecting ',' or ']')"),
        ('[{"a": 1},\n"b"]', 2, "a JSON str"),
        ("[" * 200_000, 0, "brackets nested too deep to read"),
        (f'[{{"a": 1}},\n{{"a": {"9" * 5000}}}]', 2, TOO_LONG),
        (f'{{"a": 1,\n "b": {"9" * 5000}}}', 0, TOO_LONG),
        (b'[{"a": 1},\n{"a": "\xff"}]', 2, "not UTF-8: byte 0xff"),
    ],
)
def test_a_malformed_array_is_named_by_line(
    tmp_path: Path, content: str, where: int, found: str
) -> None:
    [problem] = problems(read(tmp_path / "t.json", content))
    assert problem.startswith(f"{tmp_path / 't.json'}{f':{where}' if where else ''}: {found}\n")


def test_a_large_array_costs_the_memory_of_a_few_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    row = {"text": "π" * 500_000}
    path.write_text(
        json.dumps([row] * 20), encoding="utf-8"
    )  # 60 MB: `π` is written as six characters
    tracemalloc.start()
    assert (
        sum(len(row["text"]) for _, row in read_table(path, CSV) if isinstance(row, dict))
        == 10_000_000
    )
    assert tracemalloc.get_traced_memory()[1] < 25e6
    tracemalloc.stop()


def test_csv_has_a_header_or_is_given_one_and_values_may_span_lines(tmp_path: Path) -> None:
    text = '\ufeffq, a\n"two\nlines, ""quoted""",1\n\nx,\n'
    assert read(tmp_path / "t.csv", text) == [
        (":2", {"q": 'two\nlines, "quoted"', "a": "1"}),
        (":5", {"q": "x", "a": ""}),
    ]
    assert read(tmp_path / "t.csv", "a;b\n", CsvForm(("x", "y"), ";")) == [
        (":1", {"x": "a", "y": "b"})
    ]
    assert read(tmp_path / "t.tsv", "x\ty\na\tb, c\n") == [(":2", {"x": "a", "y": "b, c"})]


def test_a_csv_value_may_be_long(tmp_path: Path) -> None:
    long = "x" * 200_000
    assert read(tmp_path / "t.csv", f'q,a\n"{long}",1\n') == [(":2", {"q": long, "a": "1"})]


def test_csv_as_excel_saves_it(tmp_path: Path) -> None:
    semicolons = CsvForm(delimiter=";")
    path = tmp_path / "t.csv"
    assert read(path, "\ufeffsep=;\r\nq;a\r\nx;1\r\n", semicolons) == [(":3", {"q": "x", "a": "1"})]
    assert read(path, "q,a\nx,1,,\n") == [(":2", {"q": "x", "a": "1"})]
    assert read(path, "q,,\nx,1,\n") == [(":2", {"q": "x", "column 2": "1", "column 3": ""})]


def test_a_forgotten_delimiter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert problems(read(path, "q;a\nx, y;1\n")) == [
        f'{path}:2: 2 values\n  expected: 1 values: q;a\n  hint: delimiter: ";"'
    ]
    assert problems(read(path, "q\ta\nx, y\t1\n"))[0].endswith('hint: delimiter: "\\t"')


def test_malformed_csv_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    assert problems(read(path, "q,a\nx\ny,1\nz,1,2\n")) == [
        f"{path}:2: 1 values\n  expected: 2 values: q, a\n  hint: is a quote or a comma missing?",
        f"{path}:4: 3 values\n  expected: 2 values: q, a\n  hint: is a quote or a comma missing?",
    ]
    assert problems(read(path, 'q,a\n"x,1\n')) == [
        f'{path}:2: not valid CSV (unexpected end of data)\n  expected: quotes in pairs: "a ""b"" c"'
    ]
    assert problems(read(path, 'q,a\nz,1\n"x,1\ny,2\n'))[0].startswith(f"{path}:3: not valid CSV ")
    assert problems(read(path, b"q,a\nx,\xfc\n"))[0].startswith(f"{path}:2: not UTF-8: byte 0xfc\n")
    assert problems(read(path, "q,q\nx,y\n"))[0].startswith(
        f"{path}:1: columns q, q\n  expected: a name of its own for each"
    )


def test_parquet_keeps_nan_apart_from_null(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pyarrow.table(
        {"q": ["x", "y"], "rating": pyarrow.array([float("nan"), None], pyarrow.float64())}
    )
    pyarrow.parquet.write_table(table, path)
    (first, nan), (second, null) = read_table(path, CSV)
    assert (first, second) == (" row 1", " row 2")
    assert isinstance(nan, dict)
    assert math.isnan(nan["rating"])
    assert null == {"q": "y", "rating": None}
    path.write_bytes(path.read_bytes()[:-20])
    [problem] = problems(list(read_table(path, CSV)))
    assert problem.startswith(f"{path}: not readable as Parquet: ")


def test_narrow_floats_are_as_they_were_written(tmp_path: Path) -> None:
    """A float32 of 0.1 is 0.10000000149011612 as a float64: a text would say so."""
    narrow = pyarrow.float32()
    half = pyarrow.float16()
    columns = {
        "one": pyarrow.array([0.1, None, math.inf, 16777216.0], narrow),
        "half": pyarrow.array([0.1, 2.5, None, 1.0], half),
        "many": pyarrow.array([[0.1, 3.0], [], None, [1e-8]], pyarrow.list_(narrow)),
        "object": pyarrow.array(
            [{"x": [0.7], "y": 0.7}] * 4, pyarrow.struct({"x": pyarrow.list_(narrow), "y": "f8"})
        ),
        "wide": pyarrow.array([0.1, 0.10000000149011612, None, 1.0]),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    found = [row for _, row in read_table(tmp_path / "t.parquet", CSV) if isinstance(row, dict)]
    assert [row["one"] for row in found] == [0.1, None, math.inf, 16777216.0]
    assert [row["half"] for row in found] == [0.1, 2.5, None, 1.0]
    assert [row["many"] for row in found] == [[0.1, 3.0], [], None, [1e-8]]
    assert found[0]["object"] == {"x": [0.7], "y": 0.7}
    assert [row["wide"] for row in found] == [0.1, 0.10000000149011612, None, 1.0]


def test_a_suffix_may_be_in_capitals(tmp_path: Path) -> None:
    assert read(tmp_path / "DATA.CSV", "q,a\nx,1\n") == [(":2", {"q": "x", "a": "1"})]


def test_what_is_no_data_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    for name, found in {
        "none.csv": "no such file",
        ".": "a folder",
        "t.xlsx": "a file of type '.xlsx'",
    }.items():
        with pytest.raises(UserError, match=f": {found}\n"):
            read_table(tmp_path / name, CSV)


def test_a_hub_data_set_is_loaded_by_its_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"q": "a", "n": [1]}\n{"q": "b", "n": [2]}\n')
    wanted = HubSet(str(folder), COMMIT, None, "train")
    assert list(read_hub(wanted, tmp_path)) == [
        (" row 1", {"q": "a", "n": [1]}),
        (" row 2", {"q": "b", "n": [2]}),
    ]
    (tmp_path / "narrow").mkdir()
    narrow = pyarrow.table({"x": pyarrow.array([0.1], pyarrow.float32())})
    pyarrow.parquet.write_table(narrow, tmp_path / "narrow/train.parquet")
    assert list(read_hub(HubSet(str(tmp_path / "narrow"), COMMIT, None, "train"), tmp_path)) == [
        (" row 1", {"x": 0.1})
    ]

    def failing() -> Iterator[NumberedRow]:
        return read_hub(HubSet(str(folder), COMMIT, None, "exam"), tmp_path / "exam.jsonl")

    with pytest.raises(UserError) as caught:
        next(failing())
    [problem] = caught.value.problems
    assert problem.found.startswith('cannot be loaded: ValueError: Unknown split "exam"')
    assert problem.expected == f"its split 'exam' at {COMMIT}"
    assert problem.hint == f"put the file at {tmp_path}/exam.jsonl: it is read first"


def test_an_offline_machine_is_told_to_put_a_file_there(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from stemma.reading.tables import HubSet, read_hub\n"
        f"try: next(read_hub(HubSet('openai/gsm8k', {COMMIT!r}, 'main', 'train'), "
        "Path('gsm8k/train.jsonl')))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = partial(
        subprocess.run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    done = run([sys.executable, "-c", code])
    assert done.stdout.startswith("UserError openai/gsm8k: cannot be loaded: ")
    assert done.stdout.endswith("hint: put the file at gsm8k/train.jsonl: it is read first\n")


def test_a_file_in_another_encoding_than_said_loses_no_row_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    found = read(path, "q,a\n" + "x,y\n" * 5000 + "Łódź,z\n", CsvForm(encoding="cp1252"))
    assert problems(found) == [
        f"{path}:5002: not cp1252: byte 0x81\n  expected: text in cp1252\n"
        "  hint: save it again as UTF-8 (in Excel: CSV UTF-8)"
    ]


def test_a_table_in_utf16_is_read_where_it_is_said(tmp_path: Path) -> None:
    content = "q,a\nGröße,2\n".encode("utf-16")
    found = read(tmp_path / "t.csv", content, CsvForm(encoding="utf-16"))
    assert found == [(":2", {"q": "Größe", "a": "2"})]
