"""Arms of the same weights compared, over the rows that both answered."""

from __future__ import annotations

import pytest

from eval.arms import arm_scores, compared_arms
from eval.task import Metric, TaskScores


def scored(**right: bool) -> dict[str, TaskScores]:
    return {"mcq": TaskScores([Metric("accuracy", 0.5, len(right))], [], {"accuracy": right})}


def test_each_arm_is_compared_with_closed_book_over_common_rows() -> None:
    found = compared_arms(
        {
            "dpo": scored(a=True, b=False, c=False, d=True),
            "dpo+retrieved": scored(a=True, b=True, c=True, d=False),
            "dpo+gold": scored(b=True, c=True),
            "base": scored(a=False, b=False, c=False, d=False),
        }
    )
    named = {(one.variant, one.against): one for one in found}
    assert list(named) == [
        ("dpo+retrieved", "dpo"),
        ("dpo+gold", "dpo"),
        ("dpo+retrieved", "dpo+gold"),
    ]
    one = named["dpo+retrieved", "dpo"]
    assert (one.n, one.gained, one.lost) == (4, 2, 1)
    assert (one.value, one.value_against, one.difference) == (0.75, 0.5, 0.25)
    gold = named["dpo+gold", "dpo"]
    assert (gold.n, gold.value, gold.value_against) == (2, 1.0, 0.0), "closed-book on b and c alone"
    assert gold.p == 0.5, "McNemar's exact test of 2 to 0: 2 / 2**2"
    # Holm over the three: the smallest times 3.
    assert gold.p_holm == 1.0
    rows = {(row.variant, row.metric): row for row in arm_scores(found)}
    row = rows["dpo+gold", "accuracy_minus_closed_book"]
    assert (row.value, row.n) == (1.0, 2)
    assert row.low is not None
    assert rows["dpo+gold", "accuracy_minus_closed_book_p"].value == pytest.approx(0.5)
    assert rows["dpo+retrieved", "accuracy_minus_gold"].n == 2


def test_without_a_common_row_nothing_is_compared() -> None:
    assert compared_arms({"dpo": scored(a=True), "dpo+gold": scored(b=True)}) == []
    assert compared_arms({"dpo": scored(a=True), "base+gold": scored(a=True)}) == []
