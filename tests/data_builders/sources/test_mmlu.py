from __future__ import annotations

from pathlib import Path

import pytest

from data_builders.sources.mmlu import STEM
from stemma.errors import UserError
from tests.data_builders.small_recipe import write_lines
from tests.data_builders.sources.reading import drops, read, rows


def test_csv_files_have_no_header_and_their_names_give_the_subject(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test/astronomy_test.csv").write_text(
        '"Which, of ""these""?",1,2,"3, 4",5,C\nHow?,a,b,c,d,E\n'
    )
    (tmp_path / "test/philosophy_test.csv").write_text("Why?,a,b,c,d,A\n")
    items = read("mcq", "mmlu", tmp_path, "test/*_test.csv")
    assert rows(items) == [
        {
            "question": 'Which, of "these"?',
            "choices": ["1", "2", "3, 4", "5"],
            "answer": "C",
            "subject": "astronomy",
        }
    ]
    assert drops(items) == [
        ("test/astronomy_test.csv:2", "the answer is none of the options"),
        ("test/philosophy_test.csv:1", "subject not asked for"),
    ]


def test_the_hubs_form_has_an_index(tmp_path: Path) -> None:
    row = {"question": "q", "subject": "philosophy", "choices": ["a", "b", "c", "d"], "answer": 3}
    write_lines(tmp_path / "m.jsonl", row, {**row, "answer": 4}, {**row, "answer": -1})
    items = read("mcq", "mmlu", tmp_path, "m.jsonl", subjects="all")
    assert [row["answer"] for row in rows(items)] == ["D"]
    assert {reason for _, reason in drops(items)} == {"the answer is none of the options"}
    assert len(rows(read("mcq", "mmlu", tmp_path, "m.jsonl", subjects=["philosophy"]))) == 1
    assert rows(read("mcq", "mmlu", tmp_path, "m.jsonl")) == []


def test_a_file_name_without_subject_is_refused(tmp_path: Path) -> None:
    (tmp_path / "questions.csv").write_text("q,a,b,c,d,A\n")
    with pytest.raises(UserError, match=r"questions\.csv: the file's name gives no subject\n"):
        read("mcq", "mmlu", tmp_path, "questions.csv")


def test_the_authors_call_18_subjects_stem() -> None:
    assert len(STEM) == 18
