"""The rule against a person: replies of real models, each read and judged by hand.

How they were asked and by which measure they were judged: `bench/judged_replies.py`.
"""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from bench.judged_replies import FILE, STYLES, VERDICTS, confusion
from stemma import ROOT
from stemma.answers import judge

ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
SHARED = ROOT.parent / "shared" / "data"

FALSE_RIGHTS = {
    "Which organ pumps blood through the body?",  # "two main organs: the heart and the blood vessels"
    "Which planet is called the red planet?",  # "the star called Mars is called Earth"
    "Write 0.25 as a fraction.",  # 25%: the value, not the form that was asked for
}
"""What the rule calls right and the person does not."""


def test_there_are_enough_of_every_style_and_verdict() -> None:
    assert len(ROWS) >= 150
    assert set(STYLES) == {row["style"] for row in ROWS}
    counts = Counter(row["verdict"] for row in ROWS)
    assert min(counts[verdict] for verdict in VERDICTS) >= 30
    assert sum(row["cut"] for row in ROWS) >= 30
    asked = [(row["model"], row["style"], row["question"]) for row in ROWS]
    assert len(set(asked)) == len(asked)


def test_what_the_rule_calls_right_is_right() -> None:
    called = [row for row in ROWS if judge(row["reply"], row["gold"], row["choices"]) == "right"]
    false = {row["question"] for row in called if row["verdict"] != "right"}
    assert false <= FALSE_RIGHTS


def test_what_is_right_is_seldom_called_wrong() -> None:
    found = confusion([row for row in ROWS if not row["fresh"]])
    assert found["right", "wrong"] <= 1, "a synonym: gravitational force for gravity"
    assert found["right", "undecided"] <= 3


def test_the_rule_agrees_with_the_person() -> None:
    found = confusion(ROWS)
    agreed = sum(found[verdict, verdict] for verdict in VERDICTS)
    assert agreed / len(ROWS) >= 0.85


GSM8K = SHARED / "gsm8k" / "example_model_solutions.jsonl"


@pytest.mark.skipif(not GSM8K.exists(), reason="the real GSM8K file is not here")
def test_solutions_without_their_last_line_are_judged_by_their_prose() -> None:
    """Four models' solutions, whose authors say whether they are correct; the line `A: 18` that
    announces the result is taken away."""
    found: Counter[tuple[bool, str]] = Counter()
    for row in map(json.loads, GSM8K.read_text("utf-8").splitlines()):
        gold = row["ground_truth"].rsplit("A:", 1)[1].strip()
        for one in row.values():
            if isinstance(one, dict):
                text = re.sub(r"<<[^>]*>>", "", one["solution"])
                said = judge(re.sub(r"\n?A: [^\n]*\s*$", "", text), gold)
                found[one["is_correct"], said] += 1
    assert found[False, "right"] <= 6, "measured: 6 of 3,275"
    assert found[True, "right"] >= 1_943, "measured: 1,943 of 2,001"
    assert found[True, "wrong"] <= 11
