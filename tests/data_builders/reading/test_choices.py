from __future__ import annotations

from typing import Any

import pytest

from data_builders.reading.choices import (
    AnswerIs,
    bare_stem,
    find_answer,
    names_several,
    read_choices,
)
from stemma.reading.columns import NoText


@pytest.mark.parametrize(
    ("value", "choices", "labels"),
    [
        (["x", "y"], ["x", "y"], []),
        ([1, 2.5, None], ["1", "2.5"], []),
        ({"text": ["x", "y"], "label": ["1", "2"]}, ["x", "y"], ["1", "2"]),
        ([{"label": "A", "text": "x"}, {"label": "B", "text": "y"}], ["x", "y"], ["A", "B"]),
        ([{"content": "x"}, {"content": "y"}], ["x", "y"], []),
        ({"A": "x", "B": "y", "C": ""}, ["x", "y"], ["A", "B"]),
        ('["x", "y"]', ["x", "y"], []),
        ("{'A': 'x', 'B': 'y'}", ["x", "y"], ["A", "B"]),
    ],
)
def test_choices_and_labels_in_their_forms(
    value: Any, choices: list[str], labels: list[str]
) -> None:
    assert read_choices(value, "o") == (choices, labels)


def test_text_is_no_list_and_a_list_is_no_choice() -> None:
    assert read_choices("x, y", "o") is None
    assert read_choices("[x, y", "o") is None
    with pytest.raises(NoText, match=r"`o\[1\]` holds a list of 1"):
        read_choices(["x", ["y"]], "o")


@pytest.mark.parametrize(
    ("answer", "labels", "answer_is", "place"),
    [
        ("B", [], "label", 1),
        ("b", [], "label", 1),
        ("(B)", [], "label", 1),
        ("B.", [], "label", 1),
        ("b)", [], "label", 1),
        ("[b]", [], "label", 1),
        ("Option B", [], "label", 1),
        ("Antwort: B", [], "label", 1),
        ("B) y", [], "label", 1),
        ("B) x", [], "label", None),  # the letter and the text name two choices
        ("Option 2", [], "number", 1),
        ("D", [], "label", None),
        ("2", ["1", "2", "3"], "label", 1),
        ("B", ["1", "2", "3"], "label", None),
        ("y", [], "text", 1),
        ("Y", [], "text", None),
        ("2", [], "number", 1),
        ("2.0", [], "number", 1),
        ("0", [], "number", None),
        ("0", [], "index", 0),
        ("3", [], "index", None),
        ("-1", [], "index", None),
        ("two", [], "number", None),
    ],
)
def test_the_right_one_is_found_by_what_the_answer_is(
    answer: str, labels: list[str], answer_is: AnswerIs, place: int | None
) -> None:
    assert find_answer(answer, ["x", "y", "z"], labels, answer_is) == place


@pytest.mark.parametrize(
    ("answer", "answer_is", "several"),
    [
        ("A, C", "label", True),
        ("a)/c)", "label", True),
        ("1,3", "number", True),
        ("A und B", "label", True),
        ("A", "label", False),
        ("A or nothing", "label", False),
    ],
)
def test_several_right_answers_are_told_from_none(
    answer: str, answer_is: AnswerIs, several: bool
) -> None:
    assert names_several(answer, ["x", "y", "z"], [], answer_is) is several


@pytest.mark.parametrize(
    ("question", "stem"),
    [
        ("Which is red?\n\nOptions:\nA. blood\nB. the  sky\n\nAnswer:", "Which is red?"),
        ("Which is red?\nA) blood\nB) the sky", "Which is red?"),
        ("Which is red? (a) Blood (b) the sky", "Which is red?"),
        ("Which is red? Choices: 1. blood, 2. the sky", "Which is red?"),
        ("Which is red? A: blood; B: the sky", "Which is red?"),
        ("Which is red?\n**A.** Blood.\n**B.** The sky.", "Which is red?"),
        ("Which is red?\nA. the sky\nB. blood", "Which is red?"),
        ("Which is red? 1) The Sky, 2) Blood. Answer:", "Which is red?"),
        ("Which is red?\nA. the sky\nB. the sky", "Which is red?\nA. the sky\nB. the sky"),
        ("Which is red?\nA. the sky\nB. milk", "Which is red?\nA. the sky\nB. milk"),
        ("Which is red, blood or the sky?", "Which is red, blood or the sky?"),
        ("A. blood B. the sky", "A. blood B. the sky"),
    ],
)
def test_options_at_the_end_of_a_question_are_taken_off(question: str, stem: str) -> None:
    assert bare_stem(question, ["blood", "the sky"])[0] == stem


@pytest.mark.parametrize(
    ("listed", "choices", "places"),
    [
        ("A. x\nB. y\nC. z", ["x", "y", "z"], [0, 1, 2]),
        ("A. z\nB. x\nC. y", ["x", "y", "z"], [2, 0, 1]),
        ("(1) x y (2) x (3) x  y z", ["x", "x y", "x y z"], [1, 0, 2]),
        ("A. mW B. MW", ["MW", "mW"], [1, 0]),  # not the same order in other cases
        ("A. Y B. X", ["x", "y"], [1, 0]),
        ("A. x B. x C. y", ["y", "x", "x"], [1, 2, 0]),
        ("A. z\nB. x", ["x", "y", "z"], []),
    ],
)
def test_each_listed_option_is_told_by_its_text(
    listed: str, choices: list[str], places: list[int]
) -> None:
    assert bare_stem(f"Which?\n{listed}", choices)[1] == places


def test_one_choice_or_none_leaves_the_question_alone() -> None:
    assert bare_stem("Why?", []) == ("Why?", [])
    assert bare_stem("Why A. x", ["x"]) == ("Why A. x", [])
