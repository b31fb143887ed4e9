from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from data_builders.sources.mathqa import parse_options
from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows

ORIGINAL = {
    "Problem": "what is 10 % of 50 ?",
    "Rationale": '"50 * 10 / 100 = 5 . answer : b"',
    "options": "a ) 4 , b ) 5 , c ) 1,000 , d ) 1 , e ) none",
    "correct": "b",
    "annotated_formula": "divide(multiply(50, 10), 100)",
    "linear_formula": "multiply(n1,n0)|divide(#0,const_100)|",
    "category": "gain",
}


def harness(**changes: Any) -> dict[str, Any]:
    names = {"Problem": "problem", "Rationale": "rationale", "category": "type"}
    return {names.get(name, name): value for name, value in {**ORIGINAL, **changes}.items()}


def test_both_spellings_of_the_columns_give_the_same_question(tmp_path: Path) -> None:
    write_lines(tmp_path / "m.jsonl", ORIGINAL, harness())
    first, second = rows(read("mcq", "mathqa", tmp_path, "m.jsonl", answer_as="explained"))
    assert first == second
    assert first == {
        "question": "what is 10 % of 50 ?",
        "choices": ["4", "5", "1,000", "1", "none"],
        "answer": "B",
        "answer_as": "explained",
        "explanation": "50 * 10 / 100 = 5 .",
        "subject": "gain",
        "meta": {},
    }


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("a ) 12 , b ) 16", ["12", "16"]),
        ("a ) rs . 5,000 , b ) x , y , c ) 19 , 303", ["rs . 5,000", "x , y", "19 , 303"]),
        ("['a ) 48 - 8 π', 'b ) 1 : 2 .']", ["48 - 8 π", "1 : 2 ."]),
        ("['a ) a ) 4 inches', 'b ) b ) 6 inches']", ["4 inches", "6 inches"]),
        ("a ) , b ) 2", ["", "2"]),
        ("a ) 12 , c ) 16", None),
        ("12 , 16", None),
        ("['a ) 1', ", None),
        ("[1, 2]", None),
        ("", None),
    ],
)
def test_options_are_one_string_or_a_python_list(text: str, choices: list[str] | None) -> None:
    assert parse_options(text) == choices


def test_what_cannot_be_read_is_dropped(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "m.jsonl",
        harness(options="4 or 5"),
        harness(correct="f"),
        harness(Rationale="b"),
    )
    items = read("sft", "mathqa", tmp_path, "m.jsonl")
    assert drops(items) == [
        ("m.jsonl:1", "options not in the layout `a ) … , b ) …`"),
        ("m.jsonl:2", "the answer is none of the options"),
        ("m.jsonl:3", "no explanation"),
    ]
