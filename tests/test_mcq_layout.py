from stemma.mcq_layout import parse_mcq


def test_questions_are_parsed_with_letters_digits_and_long_choices() -> None:
    assert parse_mcq("Question: q\nmore\n\nOptions:\nA. 1\nB. 2\n\nAnswer:") == (
        "q\nmore",
        {"A": "1", "B": "2"},
    )
    assert parse_mcq("Question: q\n\nOptions:\n1. x\n2. y\n3. z\n\nAnswer:") == (
        "q",
        {"1": "x", "2": "y", "3": "z"},
    )
    assert parse_mcq("Question: q\n\nOptions:\nA. if x:\n  A. go\nB. stop\n\nAnswer:") == (
        "q",
        {"A": "if x:\n  A. go", "B": "stop"},
    )
    assert parse_mcq("What is 2 + 2?") is None


def test_runs_of_blank_lines_are_read_in_time_that_grows_with_them() -> None:
    assert parse_mcq("Question: q" + "\n" * 100_000) is None  # 500 once took seconds
    blank = "\n" * 1000
    assert parse_mcq(f"Question: q{blank}Options:{blank}A. x{blank}B. y{blank}Answer:{blank}") == (
        "q",
        {"A": "x", "B": "y"},
    )
