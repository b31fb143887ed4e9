from pathlib import Path

import pytest

from eval.tasks.mcq import TASK, read
from stemma.jsonl import write_jsonl
from stemma.rows import McqRow


def test_score_by_hand() -> None:
    four = {"A": -1.0, "B": -2.0, "C": -3.0, "D": -4.0}
    samples = [
        {"id": "1", "ids_digest": "x", "subject": "s", "answer": "A", "log_probs": four},
        {"id": "2", "ids_digest": "y", "subject": "s", "answer": "B", "log_probs": four},
        {
            "id": "3",
            "ids_digest": "z",
            "subject": "s",
            "answer": "B",
            "log_probs": {"A": -2.0, "B": -0.5},
        },
    ]
    found = TASK.score_records(samples, [], 1, 0.1)
    accuracy, chance, ties = found.metrics
    assert (accuracy.name, accuracy.value, accuracy.n) == ("accuracy", pytest.approx(2 / 3), 3)
    assert (chance.name, chance.value) == ("chance", pytest.approx((0.25 + 0.25 + 0.5) / 3))
    assert (ties.name, ties.value) == ("ties", 0.0)
    assert found.right == {"accuracy": {"1": True, "2": False, "3": True}}
    assert found.facts == {"letters picked": {"A": 2, "B": 1}, "letters right": {"A": 1, "B": 2}}
    assert [row["picked"] for row in found.samples] == ["A", "A", "B"]


def test_ties_are_counted() -> None:
    even = {
        "id": "1",
        "ids_digest": "x",
        "subject": "s",
        "answer": "B",
        "log_probs": {"A": -1.0, "B": -1.0, "C": -2.0},
    }
    low = even | {"id": "2", "log_probs": {"A": -1.0, "B": -2.0, "C": -2.0}}
    found = TASK.score_records([even, low], [], 1, 0.1)
    assert found.metrics[2].value == 0.5
    assert [row["tied"] for row in found.samples] == [True, False]


def mcq_row(row: str, answer_as: str, question: str = "Which unit measures force?") -> McqRow:
    value = {
        "id": row,
        "source": "s",
        "question": question,
        "choices": ["newton", "joule"],
        "answer": "A",
    }
    return McqRow.model_validate(
        value | {"answer_as": answer_as, "explanation": "Newton measures force."}
    )


def test_a_question_counts_once_by_its_letter(tmp_path: Path) -> None:
    rows = [
        mcq_row("1", "explained"),
        mcq_row("2", "letter"),
        mcq_row("3", "letter"),
        mcq_row("4", "text", "Energy?"),
    ]
    write_jsonl(tmp_path / "test.jsonl", [row.model_dump() for row in rows])
    kept, skipped = read(tmp_path / "test.jsonl", None)
    assert ([row.id for row in kept], skipped) == (["2", "4"], 2)
    assert [row.id for row in read(tmp_path / "test.jsonl", 1)[0]] == ["2"]
