from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from pydantic import ValidationError

from data_builders.sources.table import Options
from stemma.errors import UserError
from tests.data_builders.reading import drops, read, rows
from tests.data_builders.small_recipe import write_lines

QUIZ = {"question": "Frage", "choices": ["A", "B", "C"], "answer": "Loesung", "subject": "=physics"}


def choices(root: Path, path: str, columns: dict[str, Any], **options: Any) -> list[tuple[list[str], str]]:
    return [
        (row["choices"], row["answer"]) for row in rows(read("mcq", "table", root, path, columns=columns, **options))
    ]


def test_a_course_is_added_by_naming_its_columns(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "Frage;A;B;C;Loesung\nWas misst man in Newton?;Kraft;Arbeit;;A\nWer?;x;y;z;D\n;x;y;z;A\n"
    )
    items = read("mcq", "table", tmp_path, "p.csv", columns=QUIZ, delimiter=";")
    assert rows(items) == [
        {
            "question": "Was misst man in Newton?",
            "choices": ["Kraft", "Arbeit"],
            "answer": "A",
            "answer_as": "letter",
            "subject": "physics",
            "meta": {},
        }
    ]
    assert drops(items) == [("p.csv:3", "the answer is none of the options"), ("p.csv:4", "no question")]


def test_a_file_without_header_is_given_its_names(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Why?,Because\n")
    columns = {"question": "q", "answer": "a"}
    [row] = rows(read("sft", "table", tmp_path, "p.csv", columns=columns, header=["q", "a"]))
    assert [message["content"] for message in row["messages"]] == ["Why?", "Because"]


def test_the_answer_may_be_a_label_a_text_a_number_or_an_index(tmp_path: Path) -> None:
    row = {"q": "Which?", "options": ["x", "y"], "text": "y", "number": 2, "index": 1, "letter": "B"}
    write_lines(tmp_path / "t.jsonl", row)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{**row, "number": 2.0}]), tmp_path / "t.parquet")
    for name, answer_is in {"text": "text", "number": "number", "index": "index", "letter": "label"}.items():
        for path in ("t.jsonl", "t.parquet"):
            columns = {"question": "q", "choices": "options", "answer": name}
            assert choices(tmp_path, path, columns, answer_is=answer_is) == [(["x", "y"], "B")]


def test_arc_as_the_hub_has_it_is_a_mapping_with_dotted_paths(tmp_path: Path) -> None:
    arc = {
        "id": "1",
        "question": "Which?",
        "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]},
        "answerKey": "3",
    }
    write_lines(tmp_path / "arc.jsonl", arc)
    columns = {"question": "question", "choices": "choices.text", "labels": "choices.label", "answer": "answerKey"}
    assert choices(tmp_path, "arc.jsonl", columns) == [(["x", "y", "z"], "C")]


def test_pairs_conversations_and_texts_are_mapped_too(tmp_path: Path) -> None:
    write_lines(
        tmp_path / "t.jsonl",
        {"p": "Why?", "good": "a", "bad": "b", "n": 4},
        {"p": "Why?", "good": None, "bad": "b", "n": 4},
    )
    pairs = read("dpo", "table", tmp_path, "t.jsonl", columns={"prompt": "p", "chosen": "good", "rejected": "bad"})
    assert rows(pairs) == [{"prompt": "Why?", "chosen": "a", "rejected": "b", "meta": {}}]
    assert drops(pairs) == [("t.jsonl:2", "no chosen")]
    [row] = rows(read("sft", "table", tmp_path, "t.jsonl", columns={"question": "p", "answer": "good", "gold": "n"}))
    assert row["meta"] == {"gold": "4"}
    assert rows(read("corpus", "table", tmp_path, "t.jsonl", columns={"text": "bad"})) == [{"text": "b"}, {"text": "b"}]


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("Frage,A,B,C,Lösung\nWas?,x,y,z,A\n")
    with pytest.raises(UserError) as caught:
        read("mcq", "table", tmp_path, "p.csv", columns=QUIZ)
    assert str(caught.value) == (
        "p.csv:2: no column 'Loesung' for `answer`\n"
        "  expected: one of Frage, A, B, C, Lösung\n"
        "  hint: did you mean `Lösung`?"
    )


def test_a_mapping_must_fill_a_set_and_the_one_it_is_in(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"columns: they fill no set \(sft: question, answer; dpo: prompt"):
        Options.model_validate({"source": "table", "path": "t.csv", "columns": {"question": "q"}})
    with pytest.raises(UserError) as caught:
        read("dpo", "table", tmp_path, "t.csv", columns={"question": "q", "answer": "a", "prompt": "q"})
    assert str(caught.value) == (
        "t.csv in data.dpo: `columns` does not say where `chosen` and `rejected` stand\n"
        "  expected: prompt, chosen, rejected"
    )


def test_one_text_is_no_list_of_choices(tmp_path: Path) -> None:
    write_lines(tmp_path / "t.jsonl", {"q": "Which?", "options": "x, y", "a": "A"})
    items = read("mcq", "table", tmp_path, "t.jsonl", columns={"question": "q", "choices": "options", "answer": "a"})
    assert drops(items) == [("t.jsonl:1", "choices are no list")]
