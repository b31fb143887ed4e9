from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pandas
import pytest

from stemma.reading.printed import LONGEST, Prints, path_into, read_printed, unprinted

SQUAD = {"text": ["Ann", "Anna O'Neill"], "answer_start": [1, 7]}


@pytest.mark.parametrize(
    "value",
    [
        ["a", "b"],
        SQUAD,
        {"a": {"b": [None, True, 1.5]}},
        [["a"], ["b", "c"]],
        [],
        {},
        [1, 2],
        ['say "x"', "it's"],
        [{"a": 1}, {"a": "}{"}],
    ],
)
def test_json_and_pythons_print_are_read_back(value: Any) -> None:
    assert (
        read_printed(json.dumps(value))
        == read_printed(f" {value!r}\n")
        == unprinted(str(value))
        == value
    )


def test_what_numpy_prints_within_pandas_csv_is_read_back() -> None:
    """As columns of a Parquet file look once pandas has written them: without commas, over several
    lines."""
    long = [f"a longer option, number {number}" for number in range(8)]
    cells: list[Any] = [
        np.array(["a", "it's", 'say "x"'], dtype=object),
        np.array(long, dtype=object),
        np.array([4, 15]),
        {name: np.array(values, dtype=object) for name, values in SQUAD.items()},
        np.array(
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}],
            dtype=object,
        ),
    ]
    written = pandas.read_csv(io.StringIO(pandas.DataFrame({"x": cells}).to_csv()))["x"]
    expected = [["a", "it's", 'say "x"'], long, [4, 15], SQUAD, [dict(turn) for turn in cells[4]]]
    assert list(map(read_printed, written)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "[x, y",
        "[x, y]",
        "{'a'}",
        "{1, 2}",
        "[b'x']",
        "(1, 2)",
        "'a'",
        "[1 + 2]",
        "['a' ... 'b']",
        "[...]",
        "[f(1)]",
        "{'a': print()}",
        "[0, 1) and (2, 3]",
        "[" * 5_000 + "]" * 5_000,
        "['" + "x" * LONGEST + "']",
        "[1] and [2]",
        "{'a': 1} {'b': 2}",
        "['unclosed]",
        "[\x00]",
        "[nan]",
        "[" + "9" * 5_000 + "]",
    ],
)
def test_what_holds_more_than_plain_data_is_a_text(text: str) -> None:
    assert read_printed(text) is None
    assert unprinted(text) == text


def test_a_path_leads_to_the_first_text() -> None:
    assert path_into("answers", str(SQUAD)) == "answers.text[0]"
    assert path_into("a", "['x']") == "a[0]"


def told(*cells: str) -> tuple[list[str], list[str]]:
    prints = Prints()
    for number, cell in enumerate(cells, start=1):
        prints.note("c", cell, f"t:{number}")
    return [problem.where for problem in prints.problems()], list(prints.remarks())


def test_a_column_of_nothing_but_prints_is_none_of_texts() -> None:
    assert told("[]", "['a', 'b']", "['c']") == (["t:2"], [])
    assert told("['a' 'b']") == told("{'a': 1}") == told("[['a']]") == (["t:1"], [])
    assert told(json.dumps(SQUAD)) == (
        ["t:1"],
        [],
    )  # SQuAD's answers, however they are written and among what
    assert told("a text", str(SQUAD)) == (["t:2"], [])


def test_answers_that_are_lists_by_right_are_texts() -> None:
    """A mathematician's, a programmer's among other answers, and whole columns of JSON, which a
    model may learn."""
    assert (
        told("[1, 2]", "[]")
        == told("{1: 2}")
        == told("['a', 'b']", "17")
        == told("[0, 1)", "['a']")
        == ([], [])
    )
    assert told('["a", "b"]', '{"name": "f"}') == (
        [],
        ['`c` holds JSON, which trains as it stands: ["a", "b"]'],
    )
