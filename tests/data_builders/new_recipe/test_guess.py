"""Which set a file fills, and by which columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_builders.new_recipe.guess import guess
from data_builders.new_recipe.look import look


def _csv(folder: Path, text: str) -> Path:
    path = folder / "rows.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("header", "row", "kind", "columns"),
    [
        ("question,answer", "Why?,So", "sft", {"question": "question", "answer": "answer"}),
        ("Frage,Lösung", "Warum?,So", "sft", {"question": "Frage", "answer": "Lösung"}),
        ("No,Pregunta,Respuesta", "1,¿Qué?,Eso", "sft",
         {"question": "Pregunta", "answer": "Respuesta"}),
        ("prompt,chosen,rejected", "Why?,a,b", "dpo",
         {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}),
        ("Frage,bessere Antwort,schlechtere Antwort", "Warum?,a,b", "dpo",
         {"prompt": "Frage", "chosen": "bessere Antwort", "rejected": "schlechtere Antwort"}),
        ("Question,A,B,C,Answer,Topic", "Why?,x,y,z,c),optics", "mcq",
         {"question": "Question", "choices": ["A", "B", "C"], "answer": "Answer",
          "subject": "Topic"}),
        ("question,option 1,option 2,correct", "Why?,x,y,2", "mcq",
         {"question": "question", "choices": ["option 1", "option 2"], "answer": "correct"}),
        # Names that say nothing: letters under one column, the longest texts under another.
        ("x,A,B,z", "What does a compass needle point to?,North,South,b", "mcq",
         {"question": "x", "choices": ["A", "B"], "answer": "z"}),
        # A short answer is what is scored; its explanation is what is learnt.
        ("question,answer,explanation", "How many?,12,Three times four is twelve", "sft",
         {"question": "question", "answer": "explanation", "gold": "answer"}),
    ],
)  # fmt: skip
def test_columns_are_recognised(
    tmp_path: Path, header: str, row: str, kind: str, columns: dict[str, Any]
) -> None:
    found = guess(look(_csv(tmp_path, f"{header}\n{row}\n")))
    assert found
    assert (found.kind, found.columns) == (kind, columns)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["A", "b", "(C)"], "label"),
        (["red", "green", "blue"], "text"),
        (["1", "3", "2"], "number"),
        (["0", "2", "1"], "index"),
    ],
)
def test_how_the_right_choice_is_named(tmp_path: Path, answers: list[str], expected: str) -> None:
    lines = [f"Which colour?,red,green,blue,{answer}" for answer in answers]
    found = guess(look(_csv(tmp_path, "\n".join(["question,A,B,C,answer", *lines]))))
    assert found
    assert found.answer_is == expected


def test_a_list_of_choices_and_a_form_without_mapping(tmp_path: Path) -> None:
    listed = tmp_path / "quiz.jsonl"
    row = {"question": "Why?", "choices": ["x", "y"], "answer": "B"}
    listed.write_text(json.dumps(row), encoding="utf-8")
    talks = tmp_path / "talks.jsonl"
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    talks.write_text(json.dumps({"messages": turns}), encoding="utf-8")
    quiz = guess(look(listed))
    assert (quiz.kind, quiz.columns["choices"]) == ("mcq", "choices")
    talk = guess(look(talks))
    assert quiz
    assert talk
    assert (talk.kind, talk.columns) == ("sft", {})


def test_unknown_columns_fill_nothing(tmp_path: Path) -> None:
    assert guess(look(_csv(tmp_path, "name,phone\nAnn,123\n"))) is None
