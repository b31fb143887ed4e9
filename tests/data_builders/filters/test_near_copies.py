from __future__ import annotations

import random

import pytest

from data_builders.filters.near_copies import drop_near_copies
from tests.data_builders.placed_rows import accounted, mcq, pair, sft

LONG = (
    "The force is the mass times the acceleration, so a body of 2 kg that gains 3 m/s each "
    "second feels 6 N."
)


def test_near_copies_of_one_question_go_but_other_numbers_stay() -> None:
    rows = [
        pair("q", LONG, "no"),
        pair("q", LONG.replace("feels", "feel"), "no"),
        pair("q", LONG.replace("6", "7"), "no"),
        pair("q", LONG, "an answer of its own"),
        pair("p", LONG, "no"),
        sft("q", LONG),
        sft("q", LONG + "."),
        pair("q", LONG, "no", "test"),
    ]
    kept, dropped = drop_near_copies(rows)
    assert dropped == [(row, "near copy of another row") for row in (rows[1], rows[6])]
    assert accounted(rows, (kept, dropped))


def test_of_many_rows_of_one_question_the_nearest_are_compared() -> None:
    """A copy differs in a few characters, so it stands beside its original by how both begin or by
    how both end."""
    words = [
        "force",
        "metals",
        "orbits",
        "planet",
        "circle",
        "proton",
        "stress",
        "valves",
        "genome",
        "thrust",
        "enzyme",
    ]
    chance = random.Random(0)
    answers = [" ".join(chance.choices(words, k=40)) for _ in range(400)]
    originals = [sft("q", answer) for answer in answers]
    at_the_end = sft("q", answers[7] + ".")
    at_the_start = sft("q", "The " + answers[8])
    in_the_middle = sft("q", answers[9][:60] + "z" + answers[9][60:])
    copies = [at_the_end, at_the_start, in_the_middle]
    assert [row for row, _ in drop_near_copies([*originals, *copies])[1]] == copies


PREAMBLE = (
    "Let X, Y and Z be random variables on one probability space, where Z is a function of "
    "X and Y alone, and let H be "
    "the entropy in bits, so that H of a fair coin is one. Which statement holds in this "
    "setting for all such Z, "
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("$A \\cap B$?", "$A \\cup B$?"),
        ("H(Z) = H(Y)?", "H(Y) = H(X)?"),
        ("by centering?", "by scaling?"),
        ("if it has an effect?", "if it has an affect?"),
        ("by mitosis?", "by meiosis?"),
        ("if typical?", "if atypical?"),
        ("if x > y?", "if x < y?"),
        ("in mW?", "in MW?"),
        ("if f'(x) is?", "if f(x) is?"),
    ],
)
def test_what_differs_decides_not_a_long_common_preamble(one: str, other: str) -> None:
    rows = [pair("q", PREAMBLE + one, "no"), pair("q", PREAMBLE + other, "no")]
    assert drop_near_copies(rows) == (rows, [])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("It  Is\nso", "it is so"),
        ("IT IS SO", "it is so"),
        ("so it is.", "so it is"),
        ("the force", "a force"),
        ("raise and now", "raise andnow"),
        ("it accelerates", "it acelerates"),
        ("a theorem", "a thoerem"),
    ],
)
def test_layout_case_articles_and_slips_do_not_make_another_row(one: str, other: str) -> None:
    before = "" if one.casefold().startswith("it ") and "is" in one.casefold() else PREAMBLE
    rows = [pair("q", before + one, "no"), pair("q", before + other, "no")]
    assert drop_near_copies(rows)[1] == [(rows[1], "near copy of another row")]


def test_short_rows_that_differ_in_blanks_case_and_stops_only_are_copies() -> None:
    rows = [
        pair("q", "It is Newton.", "no idea"),
        pair("q", "it  is newton", "No idea."),
        pair("q", "it is", "no idea"),
    ]
    assert drop_near_copies(rows) == ([rows[0], rows[2]], [(rows[1], "near copy of another row")])


def test_near_copies_of_choice_questions_have_equal_choices_and_form() -> None:
    stem = (
        "Which force keeps the planets on their way around the sun, as Newton was the first to say"
    )
    rows = [
        mcq(stem + "?", "x", "y"),
        mcq(stem, "y", "x", answer="B"),
        mcq(stem, "x", "z"),
        mcq(stem, "x", "y", answer_as="explained", explanation="Because."),
    ]
    assert drop_near_copies(rows)[1] == [(rows[1], "near copy of another row")]
