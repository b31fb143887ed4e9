from __future__ import annotations

from data_builders.layout import bare, bare_question, parse_mcq, plain


def test_plain_is_the_chat_layout_without_tokens() -> None:
    assert plain(" What is 3 + 4?", "7 ") == "Question: What is 3 + 4?\n\nAnswer: 7"


def test_bare_takes_the_frame_off() -> None:
    assert bare("Question: Why?\n\nAnswer:") == "Why?"
    assert bare("Why? Answer: because") == "Why? Answer: because"
    assert bare_question("Question: Why?\n\nOptions:\nA. x\nB. y") == "Why?"


def test_course_questions_are_parsed_with_letters_digits_and_long_choices() -> None:
    assert parse_mcq("Question: q\nmore\n\nOptions:\nA. 1\nB. 2\n\nAnswer:") == ("q\nmore", {"A": "1", "B": "2"})
    assert parse_mcq("Question: q\n\nOptions:\n1. x\n2. y\n3. z\n\nAnswer:") == ("q", {"1": "x", "2": "y", "3": "z"})
    assert parse_mcq("Question: q\n\nOptions:\nA. if x:\n  A. go\nB. stop\n\nAnswer:") == (
        "q",
        {"A": "if x:\n  A. go", "B": "stop"},
    )
    assert parse_mcq("What is 2 + 2?") is None
