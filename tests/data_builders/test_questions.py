from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from data_builders.flow import Draft, Drop
from data_builders.questions import ChoiceOptions, Question, make_rows, without_letter
from data_builders.reading.files import FileRow, RowForm
from tests.data_builders.small_recipe import make_context


class Options(ChoiceOptions):
    source: Literal["test"] = "test"
    path: str = "t.jsonl"


class Row(RowForm):
    n: int


def make(kind: Any, answer_as: Any, explanation: str) -> list[Draft | Drop]:
    question = Question("What is 12 + 7?", ["18", "19"], "B", explanation, "sums", {"level": 1})
    entry = FileRow("t.jsonl:1", "t.jsonl", Row(n=1))
    return list(
        make_rows(entry, question, Options(answer_as=answer_as), make_context(kind, Path()))
    )


def test_a_question_becomes_a_row_with_the_letter_one_explained_or_both() -> None:
    shared = {
        "question": "What is 12 + 7?",
        "choices": ["18", "19"],
        "answer": "B",
        "subject": "sums",
    }
    letter = Draft(
        "t.jsonl:1",
        "What is 12 + 7?",
        {**shared, "answer_as": "letter", "meta": {"level": 1}},
        "t.jsonl",
    )
    explained = Draft(
        "t.jsonl:1",
        "What is 12 + 7?",
        {**shared, "answer_as": "explained", "explanation": "12 + 7 = 19.", "meta": {"level": 1}},
        "t.jsonl",
    )
    assert make("mcq", "letter", "12 + 7 = 19.") == [letter]
    assert make("mcq", "explained", "12 + 7 = 19.") == [explained]
    assert make("mcq", "both", "12 + 7 = 19.") == [letter, explained]


def test_a_conversation_explains_and_then_answers() -> None:
    [draft] = make("sft", "letter", "12 + 7 = 19.")
    assert draft.row == {
        "messages": [
            {
                "role": "user",
                "content": "What is 12 + 7?\n\nOptions:\nA. 18\nB. 19\n\nExplain, then give the letter.",
            },
            {"role": "assistant", "content": "12 + 7 = 19.\n\nAnswer: B. 19"},
        ],
        "meta": {"level": 1, "gold": "19", "subject": "sums"},
    }


@pytest.mark.parametrize(
    ("explanation", "reason"),
    [
        (" ", "no explanation"),
        ("The answer is B because 12 + 7 = 19.", "explanation names a letter"),
    ],
)
def test_an_explanation_that_cannot_be_given_drops_its_row_only(
    explanation: str, reason: str
) -> None:
    drop = Drop("t.jsonl:1", reason, {"n": 1})
    assert make("mcq", "letter", explanation) == make("mcq", "both", explanation)[:1]
    assert make("mcq", "both", explanation)[1:] == [drop]
    assert make("sft", "letter", explanation) == [drop]


@pytest.mark.parametrize(
    "closing",
    [
        " answer : b",
        ". Answer: (B).",
        "\nThe correct answer is B",
        "\nANSWER:B",
        ", so the answer is option b .",
        "\nHence, (B) is the correct answer.",
        " b",
        "\nB) 19",
        " . answer : b ) 19",
        "\nCorrect Option: B",
        " therefore b is correct . answer : b",
    ],
)
def test_closing_letters_go(closing: str) -> None:
    assert without_letter("12 + 7 = 19" + closing, "B", "19").rstrip(" .") == "12 + 7 = 19"


@pytest.mark.parametrize(
    "explanation",
    [
        "It is vitamin B that the answer describes.",
        "12 + 7 = 19, and the answer is 19",
        "The answer is C",  # another letter than the right one
        "Adding 7 to 12 gives a",  # not the right letter either
    ],
)
def test_other_endings_stay(explanation: str) -> None:
    assert without_letter(explanation, "B", "19") == explanation


def test_an_explanation_of_nothing_but_the_letter_is_empty() -> None:
    assert [without_letter(text, "C", "34") for text in ("c", "answer : c", "Answer: C) 34")] == [
        "",
        "",
        "",
    ]
