from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from pydantic import AliasChoices, Field, ValidationError

from data_builders.flow import Draft, Drop
from data_builders.reading.files import FileOptions, RowForm, read_lines
from stemma.errors import UserError
from tests.data_builders.small_recipe import make_context, write_lines

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Options(FileOptions):
    source: Literal["test"] = "test"


class Plain(RowForm):
    question: str = Field(validation_alias=AliasChoices("question", "Question"))
    rating: float = 0.0


class Nested(RowForm):
    prompt: str
    answers: list[str]


def test_a_pattern_names_files_in_order_and_an_absent_file_itself(tmp_path: Path) -> None:
    for name in ("b_test.csv", "a_test.csv", "a_dev.csv"):
        (tmp_path / name).touch()
    assert Options(path="*_test.csv").files(tmp_path) == [
        tmp_path / "a_test.csv",
        tmp_path / "b_test.csv",
    ]
    assert Options(path=f"{tmp_path}/*_dev.csv").files(Path("elsewhere")) == [
        tmp_path / "a_dev.csv"
    ]
    assert Options(path="none.csv").files(tmp_path) == [tmp_path / "none.csv"]


def test_files_are_named_below_the_root_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("a_test.csv", "b_test.csv"):
        (tmp_path / name).write_text("1,2\n")
    below = {"a_test.csv": tmp_path / "a_test.csv", "b_test.csv": tmp_path / "b_test.csv"}
    assert Options(path="*_test.csv").named_files(tmp_path) == below
    whole = Options(path=f"{tmp_path}/*_test.csv")
    numbered = {"0/a_test.csv": tmp_path / "a_test.csv", "1/b_test.csv": tmp_path / "b_test.csv"}
    assert whole.named_files(Path("elsewhere")) == whole.named_files(tmp_path) == numbered
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").touch()
    folder = Options(path="none.jsonl", hub=str(tmp_path / "set"), revision=COMMIT)
    assert folder.named_files(tmp_path) == {"hub/train.jsonl": tmp_path / "set" / "train.jsonl"}
    assert Options(path="none.jsonl", hub="o/d", revision=COMMIT).named_files(tmp_path) == {}


def test_the_hub_stands_in_only_where_there_is_no_file(tmp_path: Path) -> None:
    options = Options(path="t.jsonl", hub="o/d", revision=COMMIT)
    assert options.files(tmp_path) == []
    (tmp_path / "t.jsonl").touch()
    assert options.files(tmp_path) == [tmp_path / "t.jsonl"]


def test_a_hub_data_set_is_pinned_to_a_commit() -> None:
    with pytest.raises(ValidationError, match="`revision` is missing, the commit"):
        Options(path="t.jsonl", hub="o/d")
    with pytest.raises(ValidationError, match="String should match pattern"):
        Options(path="t.jsonl", hub="o/d", revision="main")


def test_rows_come_in_any_of_the_forms_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_lines(
        tmp_path / "data/1.jsonl", {"Question": "q", "rating": 1}, {"prompt": "p", "answers": ["a"]}
    )
    (tmp_path / "data/2.json").write_text('[\n\n{"question": "r"}]')
    first, second, third = read_lines(
        Options(path="data/*"), make_context("sft", tmp_path), Plain, Nested
    )
    assert first.draft("q", {"x": 1}) == Draft("data/1.jsonl:1", "q", {"x": 1}, "data/1.jsonl")
    assert second.drop("why") == Drop("data/1.jsonl:2", "why", {"prompt": "p", "answers": ["a"]})
    assert (third.where, third.file, third.line) == (
        "data/2.json:3",
        "data/2.json",
        Plain(question="r"),
    )


def test_rows_of_the_hub_carry_its_name_and_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    write_lines(tmp_path / "set/test.jsonl", {"question": "q", "rating": 0.5})
    options = Options(path="none.jsonl", hub=str(tmp_path / "set"), revision=COMMIT, split="test")
    [entry] = read_lines(options, make_context("sft", tmp_path), Plain)
    assert (entry.file, entry.where) == (
        f"{tmp_path}/set@{COMMIT}",
        f"{tmp_path}/set@{COMMIT} row 1",
    )
    assert entry.line == Plain(question="q", rating=0.5)


def test_all_wrong_rows_are_named_and_none_is_lost_in_silence(tmp_path: Path) -> None:
    wrong = [{"question": number} for number in range(100)]
    path = write_lines(
        tmp_path / "t.jsonl", {"question": "good"}, *wrong, {"prompt": "p"}, {"question": "late"}
    )
    rows = read_lines(Options(path="t.jsonl"), make_context("sft", tmp_path), Plain, Nested)
    assert next(rows).line == Plain(question="good")
    with pytest.raises(UserError) as caught:
        next(rows)
    assert str(caught.value) == (
        f"{path}:2: question: Input should be a valid string "
        f"(100 times: also at {path}:3, {path}:4, …)\n  expected: an object of question, rating\n"
        f"{path}:102: answers: Field required\n  expected: an object of prompt, answers"
    )


def test_no_more_than_twenty_different_problems_are_told(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "t.jsonl", *({"question": "q", f"key{number}": 1} for number in range(30))
    )
    with pytest.raises(UserError) as caught:
        list(read_lines(Options(path="t.jsonl"), make_context("sft", tmp_path), Plain))
    assert len(caught.value.problems) == 20


def test_a_file_without_rows_is_named(tmp_path: Path) -> None:
    said: list[str] = []
    context = replace(make_context("sft", tmp_path), say=said.append)
    (tmp_path / "1.jsonl").write_text("\n")
    (tmp_path / "2.csv").write_text("question\n")
    with pytest.raises(UserError) as caught:
        list(read_lines(Options(path="*"), context, Plain))
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/{name}: no rows in it\n  expected: at least one row"
        for name in ("1.jsonl", "2.csv")
    ]
    assert said == []
    write_lines(tmp_path / "3.jsonl", {"question": "q"})
    assert len(list(read_lines(Options(path="*"), context, Plain))) == 1
    assert said == [f"warning: {tmp_path}/{name}: no rows in it" for name in ("1.jsonl", "2.csv")]


def test_syntax_errors_and_wrong_rows_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"question"\n' + json.dumps({"prompt": "p", "other": 1}) + "\n")
    with pytest.raises(UserError) as caught:
        list(read_lines(Options(path="t.jsonl"), make_context("sft", tmp_path), Plain, Nested))
    assert [(problem.where, problem.found[:20]) for problem in caught.value.problems] == [
        (f"{path}:1", "not valid JSON (Expe"),
        (f"{path}:2", "answers: Field requi"),
        (f"{path}:2", "other: Extra inputs "),
    ]
