"""The questions that the project ships: well formed, fair between letters, and scored right by the rule."""

from __future__ import annotations

from collections import Counter

from stemma import ROOT
from stemma.answers import judge
from stemma.jsonl import read_dicts

ROWS = read_dicts(ROOT / "examples" / "stem" / "questions.jsonl")


def test_there_are_as_many_as_the_readme_says() -> None:
    counts = Counter(row["subject"] for row in ROWS)
    assert counts == {
        "physics": 33,
        "chemistry": 32,
        "biology": 32,
        "mathematics": 32,
        "computer science": 32,
    }
    text = (ROOT / "examples" / "stem" / "README.md").read_text(encoding="utf-8")
    assert all(f"{subject} {count}" in text for subject, count in counts.items())
    assert len({row["question"] for row in ROWS}) == len(ROWS) == 161


def test_each_has_four_choices_and_letters_are_right_equally_often() -> None:
    for row in ROWS:
        assert len(set(row["choices"])) == 4, row["question"]
    assert Counter(row["answer"] for row in ROWS) == {"A": 40, "B": 41, "C": 40, "D": 40}


def test_explanations_end_in_the_right_choice_and_slips_in_a_wrong_one() -> None:
    for row in ROWS:
        right = row["choices"]["ABCD".index(row["answer"])]
        assert row["explanation"].split("\n\nAnswer: ")[1] == right
        assert row["slip"].split("\n\nAnswer: ")[1] in set(row["choices"]) - {right}
        assert row["gold"] == right
        assert judge(row["explanation"], right) == "right", row["question"]
        assert judge(row["slip"], right) == "wrong", row["question"]
