from __future__ import annotations

import pytest

from stemma.answers.listed_options import split_options


@pytest.mark.parametrize(
    "listed",
    [
        "\n\nOptions:\nA. ice\nB. a stone\nC. iron",
        "\nChoices:\nA) ice\nB) a stone\nC) iron",
        "\n\nAnswer choices: (A) ice (B) a stone (C) iron",
        " Options: A) ice, B) a stone, C) iron",
        "\n(A) ice\n(B) a stone\n(C) iron",
        "\nA. ice\nB. a stone\nC. iron",
        " (A) ice (B) a stone (C) iron",
        " A) ice B) a stone C) iron Answer:",
    ],
)
def test_the_usual_layouts(listed: str) -> None:
    stem, choices = split_options(f"Which melts?{listed}")
    assert (stem.strip(), choices) == ("Which melts?", ("ice", "a stone", "iron"))


def test_what_is_to_be_done_with_the_options_is_none_of_them() -> None:
    listed = "Which melts?\n\nOptions:\nA. ice\nB. a stone\n\nExplain, then give the letter."
    assert split_options(listed) == ("Which melts?", ("ice", "a stone"))
    assert split_options("Which melts?\nOptions:\n\nA. ice\n\nB. a stone")[1] == ("ice", "a stone")


def test_a_stem_may_go_on_in_its_options() -> None:
    assert split_options("It is called (A) ice (B) stone (C) iron") == (
        "It is called ",
        ("ice", "stone", "iron"),
    )


@pytest.mark.parametrize(
    "question",
    [
        "Prove both. (a) It melts. (b) It flows. (c) It cools.",
        "Let f(A) be open and (B) closed. Why?",
        "Take the salts (A) zinc (B) lead (C) tin. Which of them melts?",
        "Take the salts (A) zinc (B) lead (C) tin. Name the one that melts.",
        "Consider: (A) zinc (B) lead (C) tin. Which of them melts?",
        "Which vitamin? A. Or B. Or C. Or none",
        "Name your options: a car, a bus.",
    ],
)
def test_what_is_no_list_of_options_stays(question: str) -> None:
    assert split_options(question) == (question, ())


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 200_000 + "x",
        "Options\n" + " " * 200_000,
        "A) x\nB) y\n" * 20_000,
        "choices\n" * 30_000,
    ],
)
def test_a_text_of_any_shape_is_read_in_a_moment(text: str) -> None:
    """By patterns without a limit, each took from minutes to days."""
    assert split_options(text) == (text, ())
