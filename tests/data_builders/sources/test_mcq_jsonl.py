from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_builders.filters.clean import finish
from data_builders.flow import Draft
from stemma.rows import LETTERS, McqRow
from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows


def question(labels: Sequence[str]) -> str:
    return (
        "Question: q?\n\nOptions:\n"
        + "\n".join(f"{label}. c{label}" for label in labels)
        + "\n\nAnswer:"
    )


def test_keys_may_be_letters_or_digits_and_must_be_an_option(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "m.jsonl",
        {"subject": None, "question": question("ABCD"), "answer": "C"},
        {"subject": "s", "question": question("1234"), "answer": "2"},
        {"subject": "s", "question": question("ABC"), "answer": "D"},
        {"subject": "s", "question": "no options", "answer": "A"},
    )
    items = read("mcq", "mcq_jsonl", tmp_path, "m.jsonl")
    assert rows(items) == [
        {"question": "q?", "choices": ["cA", "cB", "cC", "cD"], "answer": "C", "subject": ""},
        {"question": "q?", "choices": ["c1", "c2", "c3", "c4"], "answer": "B", "subject": "s"},
    ]
    assert drops(items) == [
        ("m.jsonl:3", "the answer is none of the options"),
        ("m.jsonl:4", "not in the layout `Question: … Options: A. … Answer:`"),
    ]


def test_a_subject_need_not_be_there(tmp_path: Path) -> None:
    write_lines(tmp_path / "m.jsonl", {"question": question("AB"), "answer": "B"})
    [row] = rows(read("mcq", "mcq_jsonl", tmp_path, "m.jsonl"))
    assert (row["subject"], row["answer"]) == ("", "B")


def test_eleven_options_are_eleven_and_more_than_twenty_six_are_told(tmp_path: Path) -> None:
    numbers = [str(number) for number in range(1, 28)]
    write_lines(
        tmp_path / "m.jsonl",
        {"question": question("ABCDEFGHIJK"), "answer": "K"},
        {"question": question(numbers[:11]), "answer": "11"},
        {"question": question(numbers), "answer": "2"},
        {"question": question([*LETTERS, "AA"]), "answer": "Z"},
    )
    items = read("mcq", "mcq_jsonl", tmp_path, "m.jsonl")
    assert [(row["choices"][9:], row["answer"]) for row in rows(items)] == [
        (["cJ", "cK"], "K"),
        (["c10", "c11"], "K"),
    ]
    assert drops(items) == [
        ("m.jsonl:3", "more than 26 choices"),
        ("m.jsonl:4", "more than 26 choices"),
    ]


def test_an_empty_last_option_is_none_in_every_source(tmp_path: Path) -> None:
    made = {"choices": ["x", "y"], "answer": "B"}
    write_lines(tmp_path / "m.jsonl", {"question": "q?\n\nOptions:\nA. x\nB. y\nC.", "answer": "B"})
    (tmp_path / "astronomy_test.csv").write_text("q?,x,y,,,B\n", encoding="utf-8")
    (tmp_path / "t.csv").write_text("q,A,B,C,a\nq?,x,y,,B\n", encoding="utf-8")
    columns = {"question": "q", "choices": ["A", "B", "C"], "answer": "a"}
    items = [
        *read("mcq", "mcq_jsonl", tmp_path, "m.jsonl"),
        *read("mcq", "mmlu", tmp_path, "astronomy_test.csv"),
        *read("mcq", "table", tmp_path, "t.csv", columns=columns),
    ]
    for item in items:
        assert isinstance(item, Draft)
        row = finish("mcq", "s", item)
        assert isinstance(row, McqRow)
        assert row.model_dump(include={"choices", "answer"}) == made


def test_subjects_choose_the_questions(tmp_path: Path) -> None:
    subjects = ("astronomy", "philosophy", None)
    write_lines(
        tmp_path / "m.jsonl",
        *({"subject": s, "question": question("AB"), "answer": "A"} for s in subjects),
    )
    assert [
        row["subject"]
        for row in rows(read("mcq", "mcq_jsonl", tmp_path, "m.jsonl", subjects="stem"))
    ] == ["astronomy"]
    items = read("mcq", "mcq_jsonl", tmp_path, "m.jsonl", subjects=["philosophy"])
    assert [row["subject"] for row in rows(items)] == ["philosophy"]
    assert drops(items) == [
        ("m.jsonl:1", "subject not asked for"),
        ("m.jsonl:3", "subject not asked for"),
    ]
