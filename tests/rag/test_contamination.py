from __future__ import annotations

import pytest

from rag.contamination import Contamination
from rag.questions import Question

STEM = "Which gas do plants take up from the air when the sun shines?"
QUESTIONS = [
    Question(STEM, False, ("Carbon dioxide", "Oxygen", "Helium", "Argon"), "Carbon dioxide"),
    Question("How many?", False, ("1", "2", "3", "4"), "3"),
    Question("True?", False, ("True", "False"), "True"),
    Question(
        "Why?", False, (), "Because the pressure falls with height, water boils earlier there."
    ),
]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"Exam: {STEM.upper()} Think.", "question"),
        ("A. helium B. argon C. carbon-dioxide D. oxygen", "options"),
        ("Argon, oxygen and carbon dioxide are in the air.", None),
        ("Helium, argon, oxygen and dioxide of carbon.", None),
        ("1, 2, 3, 4", None),
        ("True or false", None),
        ("so: because the pressure falls, with height: water boils earlier there", "answer"),
        ("because the pressure falls with height water boils", None),
        ("Which gas do plants take up from the air?", None),
        ("", None),
    ],
)
def test_what_gives_a_question_away(text: str, kind: str | None) -> None:
    assert Contamination(QUESTIONS).kind_of(text) == kind


def test_phrases_that_begin_alike_are_told_apart() -> None:
    begin = "what is the name of the thing that is called"
    asked = [Question(f"{begin} number {number}", False) for number in range(1000)]
    contamination = Contamination(asked)
    assert contamination.kind_of(f"x {begin} number 77 y") == "question"
    assert contamination.kind_of(f"{begin} number thousand") is None


def test_without_questions_nothing_is_marked() -> None:
    assert Contamination([]).kind_of("Any text.") is None
