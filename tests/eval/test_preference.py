from typing import Any

import pytest

from eval.tasks.preference import TASK


def sample(
    row: str, question: str, chosen: float, rejected: float, tokens: tuple[int, int] = (2, 3)
) -> dict[str, Any]:
    return {
        "id": row,
        "ids_digest": "x",
        "question_id": question,
        "chosen_log_prob": chosen,
        "rejected_log_prob": rejected,
        "chosen_tokens": tokens[0],
        "rejected_tokens": tokens[1],
    }


REFERENCE = [
    sample("1", "q", -10.0, -8.0),
    sample("2", "q", -4.0, -4.0),
    sample("3", "r", -6.0, -5.0),
]


def test_rewards_by_hand() -> None:
    samples = [
        sample("1", "q", -8.0, -9.0),  # rewards 0.2 and -0.1: margin 0.3, right
        sample("2", "q", -5.0, -4.0),  # rewards -0.1 and 0: margin -0.1, wrong
        sample(
            "3", "r", -6.0, -5.0, (4, 3)
        ),  # as the reference: margin 0, a tie, which is not right
    ]
    found = TASK.score_records(samples, REFERENCE, 1, 0.1)
    values = {metric.name: metric.value for metric in found.metrics}
    expected = {
        "reward_accuracy": 1 / 3,
        "reward_margin": 0.2 / 3,
        "ties": 1 / 3,
        "chosen_reward": 0.1 / 3,
        "rejected_reward": -0.1 / 3,
        "log_prob_accuracy": 1 / 3,
        "longer_accuracy": 1 / 3,
        "longer_accuracy_of_different": 1 / 3,
    }
    assert values == pytest.approx(expected)
    assert all(metric.n == 3 for metric in found.metrics)
    assert found.right["reward_accuracy"] == {"1": True, "2": False, "3": False}
    assert found.samples[0]["margin"] == pytest.approx(0.3)
    assert found.facts == {"pairs": 3, "questions": 2}
    assert found.groups == {"1": "q", "2": "q", "3": "r"}


def test_the_longer_answer_is_a_coin_where_both_are_as_long() -> None:
    rows = [
        sample("1", "q", -1, -2, (5, 5)),
        sample("2", "r", -1, -2, (5, 4)),
        sample("3", "s", -1, -2, (5, 5)),
        sample("4", "t", -1, -2, (3, 4)),
    ]
    metrics = {metric.name: metric for metric in TASK.score_records(rows, rows, 1, 0.1).metrics}
    assert metrics["longer_accuracy"].value == pytest.approx((0.5 + 1 + 0.5 + 0) / 4)
    assert (
        metrics["longer_accuracy_of_different"].value,
        metrics["longer_accuracy_of_different"].n,
    ) == (0.5, 2)
    alike = [sample("1", "q", -1, -2, (5, 5))]
    assert "longer_accuracy_of_different" not in {
        m.name for m in TASK.score_records(alike, alike, 1, 0.1).metrics
    }


def test_the_reference_itself_is_all_ties() -> None:
    values = {
        metric.name: metric.value
        for metric in TASK.score_records(REFERENCE, REFERENCE, 1, 0.1).metrics
    }
    assert (values["reward_accuracy"], values["reward_margin"], values["ties"]) == (0.0, 0.0, 1.0)


def test_rows_of_one_prompt_keep_their_own_reference() -> None:
    # The same prompt twice: a reference kept by prompt would give one of them the other's figures.
    samples = [sample("2", "q", -4.0, -4.0), sample("1", "q", -10.0, -8.0)]
    assert [row["margin"] for row in TASK.score_records(samples, REFERENCE, 1, 0.1).samples] == [
        0.0,
        0.0,
    ]


def test_the_interval_counts_questions_not_pairs() -> None:
    rows = [sample(str(i), "one question", -1.0, -2.0) for i in range(50)]
    anchors = [sample(str(i), "one question", -2.0, -1.0) for i in range(50)]
    accuracy = TASK.score_records(rows, anchors, 1, 0.1).metrics[0]
    assert (accuracy.value, accuracy.n) == (1.0, 50)
    assert accuracy.low == pytest.approx(1 / 4.8415, abs=1e-3)  # one trial, all right: 1 / (1 + z²)
