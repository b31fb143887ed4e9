import pytest

from eval.measure import Context
from eval.tasks.mcq import score


def test_score_by_hand() -> None:
    four = {"A": -1.0, "B": -2.0, "C": -3.0, "D": -4.0}
    samples = [
        {"id": "1", "ids_digest": "x", "subject": "s", "answer": "A", "log_probs": four},
        {"id": "2", "ids_digest": "y", "subject": "s", "answer": "B", "log_probs": four},
        {"id": "3", "ids_digest": "z", "subject": "s", "answer": "B", "log_probs": {"A": -2.0, "B": -0.5}},
    ]
    found = score(samples, Context(1, 0.1, []))
    accuracy, chance = found.metrics
    assert (accuracy.name, accuracy.value, accuracy.n) == ("accuracy", pytest.approx(2 / 3), 3)
    assert (chance.name, chance.value) == ("chance", pytest.approx((0.25 + 0.25 + 0.5) / 3))
    assert found.right == {"accuracy": {"1": True, "2": False, "3": True}}
    assert found.facts == {"letters picked": {"A": 2, "B": 1}, "letters right": {"A": 1, "B": 2}}
    assert [row["picked"] for row in found.samples] == ["A", "A", "B"]
