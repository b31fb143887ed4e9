from fractions import Fraction
from pathlib import Path

import pytest

from eval.measure import Context
from eval.tasks.generation import is_right, numbers, read, score
from stemma.jsonl import write_jsonl


@pytest.mark.parametrize(
    ("reply", "gold", "right"),
    [
        ("19", "19", True),
        ("12 + 7 = 19.", "19", True),
        ("19 is 12 + 7", "19", False),  # the last number counts
        ("The cost is $1,234.50", "1234.5", True),
        ("19.0", "19", True),
        ("190", "19", False),
        ("-3", "3", False),
        ("5-3", "3", True),  # a minus between numbers is an operator
        ("the rate is 9.8 m/s^2", "9.8", True),  # the exponent of a unit is no number
        ("2/3", "2/3", True),
        ("4/6", "2/3", True),
        ("3e8", "300000000", True),
        ("about .5", "0.5", True),
        ("", "5", False),
        ("no number", "5", False),
        ("Newton.", "newton", True),
        ("It is the newton", "newton", True),
        ("newtonian", "newton", False),
        ("a hash table, mostly", "Hash table", True),
        ("table hash", "hash table", False),
        ("it moves 12 km", "12 km", True),
        ("it moves 120 km", "12 km", False),
        ("", "newton", False),
    ],
)
def test_is_right(reply: str, gold: str, right: bool) -> None:
    assert is_right(reply, gold) is right


def test_numbers() -> None:
    assert numbers("x2 costs 1,000, v1.5, 2.5. and 1/4; 7/0") == [1000, Fraction(5, 2), Fraction(1, 4), 7, 0]


def test_rows_without_gold_are_skipped_and_counted(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"id": str(i), "source": "t", "messages": messages, "meta": {"gold": "a"} if i else {}} for i in range(3)]
    write_jsonl(tmp_path / "t.jsonl", rows)
    kept, skipped = read(tmp_path / "t.jsonl", None)
    assert ([row.id for row in kept], skipped) == (["1", "2"], 1)
    assert read(tmp_path / "t.jsonl", 1) == ([], 1)


def test_score_by_hand() -> None:
    samples = [
        {"id": "1", "ids_digest": "x", "source": "t", "gold": "4", "reply": "2 + 2 = 4", "tokens": 6, "stopped": True},
        {"id": "2", "ids_digest": "y", "source": "t", "gold": "4", "reply": "5 5 5 5", "tokens": 8, "stopped": False},
    ]
    found = score(samples, Context(1, 0.1, []))
    assert {metric.name: (metric.value, metric.n) for metric in found.metrics} == {
        "accuracy": (0.5, 2), "stopped": (0.5, 2), "tokens": (7.0, 2),
    }  # fmt: skip
    assert found.right == {"accuracy": {"1": True, "2": False}}
    assert [row["right"] for row in found.samples] == [True, False]
