from __future__ import annotations

import pytest

from stemma.rows import McqRow
from stemma.shuffled_choices import other_orders, permute_choices, reordered


def choice_row(*choices: str, explanation: str = "", number: int = 0) -> McqRow:
    row = {"question": "q?", "choices": list(choices), "answer": "B", "explanation": explanation}
    return McqRow.model_validate({"id": f"m{number}", "source": "s", **row})


def test_choices_are_shuffled_by_seed_and_id_and_the_answer_follows() -> None:
    shuffled = [permute_choices(choice_row("p", "q", "r", "s", number=n), 42) for n in range(200)]
    for row in shuffled:
        assert [row.choices["ABCD".index(row.answer)], sorted(row.choices)] == [
            "q",
            ["p", "q", "r", "s"],
        ]
        assert [row.choices[place] for place in range(4)] == [
            "pqrs"["ABCD".index(x)] for x in str(row.meta["order"])
        ]
    assert (
        30 < sum(row.answer == "A" for row in shuffled) < 70
    )  # 50 expected, 3 standard deviations are 18
    assert shuffled[0] == permute_choices(choice_row("p", "q", "r", "s"), 42)
    assert shuffled != [
        permute_choices(choice_row("p", "q", "r", "s", number=n), 43) for n in range(200)
    ]


@pytest.mark.parametrize(
    "choice",
    [
        "All of the above",
        "none of these.",
        "Both A and B",
        "A and C",
        "b and c only",
        "Neither (a) nor (b)",
        "both",
        "(A), (B), and (C)",
        "C only",
        "Either A or B.",
        "All the above",
        "None of the answer choices",
        "option b",
        "A, B, and C",
        "any of them",
    ],
)
def test_choices_that_refer_to_others_stay_where_they_are(choice: str) -> None:
    row = choice_row("p", choice, "r")
    assert permute_choices(row, 42) is row


@pytest.mark.parametrize(
    "choice", ["I and II only", "both speed and wavelength", "A cat and a dog", "all animals", "F"]
)
def test_choices_that_only_look_like_it_are_shuffled(choice: str) -> None:
    assert sorted(str(permute_choices(choice_row("p", choice), 42).meta["order"])) == ["A", "B"]


@pytest.mark.parametrize(
    ("explanation", "moves"),
    [
        ("Because q is right.", True),
        ("A body stays at rest: m a = 0 and E = m c^2", False),
        ("A body at rest stays, as c is constant.", True),
        ("The answer is A.", False),
        ("(C) is wrong.", False),
        ("B is right.", False),
        ("Option A fails.", False),
    ],
)
def test_an_explanation_that_names_letters_holds_the_choices(explanation: str, moves: bool) -> None:
    row = choice_row("p", "q", "r", explanation=explanation)
    assert (permute_choices(row, 42) is not row) == moves


def test_among_more_than_ten_choices_every_letter_may_name_one() -> None:
    many = [f"c{number}" for number in range(12)]
    for explanation, moves in (
        ("(K) is wrong.", False),
        ("Option L fails.", False),
        ("c3 it is.", True),
    ):
        row = McqRow(
            id="m", source="s", question="q", choices=many, answer="A", explanation=explanation
        )
        assert (permute_choices(row, 42) is not row) == moves
    few = McqRow(
        id="m",
        source="s",
        question="q",
        choices=many[:4],
        answer="A",
        explanation="(K) is potassium.",
    )
    assert permute_choices(few, 42) is not few


def test_other_orders_are_different_and_none_is_the_row_s_own() -> None:
    row = choice_row("p", "q", "r", "s")
    drawn = other_orders(row, 42, 5)
    assert len(set(drawn)) == 5
    assert "ABCD" not in drawn
    assert all(sorted(order) == list("ABCD") for order in drawn)
    assert drawn == other_orders(row, 42, 5)
    assert drawn != other_orders(row, 43, 5)
    assert drawn != other_orders(choice_row("p", "q", "r", "s", number=1), 42, 5)


def test_there_are_no_more_orders_than_there_are() -> None:
    assert other_orders(choice_row("p", "q"), 42, 9) == ["BA"]
    assert len(other_orders(choice_row("p", "q", "r"), 42, 9)) == 5
    many = choice_row(*(f"c{n}" for n in range(26)))
    assert len(set(other_orders(many, 42, 9))) == 9


def test_choices_that_refer_to_others_have_no_other_order() -> None:
    assert other_orders(choice_row("p", "q", "All of the above"), 42, 5) == []


def test_a_reordered_row_keeps_its_right_choice() -> None:
    moved = reordered(choice_row("p", "q", "r"), "CAB")
    assert (moved.choices, moved.answer, moved.meta["order"]) == (["r", "p", "q"], "C", "CAB")
