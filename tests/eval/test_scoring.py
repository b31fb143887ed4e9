from dataclasses import replace

import pytest

from eval.run import token_disagreements
from eval.statistics import minus
from eval.task import TaskScores


def scored(*right: bool) -> TaskScores:
    return TaskScores([], [], {"accuracy": {str(i): value for i, value in enumerate(right)}})


def test_minus_merged_by_hand() -> None:
    difference, p = minus(scored(True, False, False, True), scored(True, True, True, False), seed=1)
    assert (difference.name, difference.value, difference.n) == ("accuracy_minus_merged", -0.25, 4)
    assert difference.low is not None
    assert difference.high is not None
    assert -1.0 <= difference.low < -0.25 < difference.high <= 1.0
    assert (p.name, p.value) == (
        "accuracy_minus_merged_p",
        pytest.approx(1.0),
    )  # 1 won, 2 lost: 2 * (1 + 3) / 8


def test_minus_merged_of_itself_is_nothing() -> None:
    difference, p = minus(scored(True, False), scored(True, False), seed=1)
    assert (difference.value, difference.low, difference.high, p.value) == (0.0, 0.0, 0.0, 1.0)


def test_minus_merged_keeps_a_questions_rows_together() -> None:
    groups = {str(i): "q" if i < 3 else "r" for i in range(4)}
    found, chief = scored(True, True, True, True), scored(False, False, False, False)
    alone = minus(found, chief, seed=1)[1]
    together = minus(replace(found, groups=groups), replace(chief, groups=groups), seed=1)[1]
    assert alone.value == pytest.approx(2 / 16)  # four won of four
    assert together.value == pytest.approx(
        2 / 4
    )  # 3 + 1, 3 - 1, 1 - 3, -3 - 1: two of four are 4 from zero


def test_token_disagreements_name_the_rows() -> None:
    ours = [{"id": "1", "ids_digest": "a"}, {"id": "2", "ids_digest": "b"}]
    theirs = [{"id": "1", "ids_digest": "a"}, {"id": "2", "ids_digest": "c"}]
    assert token_disagreements(ours, theirs) == ["2"]
    assert token_disagreements(ours, ours) == []
