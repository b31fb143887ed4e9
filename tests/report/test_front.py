from __future__ import annotations

from pathlib import Path

import pytest

from report.chart import Spot
from report.front import pareto, trades
from report.run import gather
from tests.factories.run_to_report import make_work, score


def spot(name: str, x: float, value: float) -> Spot:
    return Spot(name, x, score(name, "mcq", "accuracy", value, 100))


SPOTS = [
    spot("small", 1, 0.5),
    spot("worse", 2, 0.4),
    spot("twin", 2, 0.7),
    spot("same", 2, 0.7),
    spot("large", 4, 0.6),
]


@pytest.mark.parametrize(
    ("less_is_better", "front"),
    [(True, ["small", "twin", "same"]), (False, ["twin", "same", "large"])],
)
def test_the_front_is_what_no_other_dominates(less_is_better: bool, front: list[str]) -> None:
    assert [one.name for one in pareto(SPOTS, less_is_better)] == front


def test_each_quality_stands_against_size_and_speed(tmp_path: Path) -> None:
    found = trades(gather(make_work(tmp_path)))
    assert [trade.title for trade in found] == [
        "MCQ accuracy against size on disk",
        "MCQ accuracy against writing speed",
        "Generated answers right against size on disk",
        "Generated answers right against writing speed",
        "Reward accuracy against size on disk",
        "Reward accuracy against writing speed",
    ]
    assert found[0].front == ["gguf-Q4_K_M", "gguf-Q6_K", "gguf-Q8_0"]
    assert found[0].n == 240


def test_what_is_not_finite_is_not_drawn(tmp_path: Path) -> None:
    scores = [
        score("merged", "mcq", "accuracy", 0.5, 9),
        score("bnb-int8", "mcq", "accuracy", float("nan"), 9),
    ]
    assert trades(gather(make_work(tmp_path, scores=scores))) == []
