"""Figures at chance beside a merged model that is above it."""

from __future__ import annotations

import pytest

from eval.chance import at_chance
from eval.statistics import wilson
from eval.task import Metric, TaskScores


def mcq(share: float, n: int = 200, chance: float = 0.25) -> dict[str, TaskScores]:
    metrics = [Metric("accuracy", share, n, *wilson(share, n)), Metric("chance", chance, n)]
    return {"mcq": TaskScores(metrics, [])}


def test_a_file_or_server_at_chance_is_told_where_merged_is_above() -> None:
    scored = {"base": mcq(0.25), "merged": mcq(0.6), "gguf-Q8_0": mcq(0.27), "bnb-nf4": mcq(0.55)}
    [line] = at_chance(scored, ["merged", "gguf-Q8_0", "bnb-nf4", "not-measured"])
    assert line.startswith("gguf-Q8_0 scores like chance: mcq accuracy 0.270 [0.213 to 0.335], ")
    assert "n = 200, chance 0.250, merged 0.600; " in line


@pytest.mark.parametrize(
    ("merged", "other", "why"),
    [
        (mcq(0.26), mcq(0.24), "random weights: merged guesses too"),
        (mcq(0.36), mcq(0.31), "too near to merged to be told from it"),
        (mcq(0.6, n=10), mcq(0.3, n=10), "too few questions to say so"),
        (mcq(0.6), mcq(0.4), "worse than merged, but no guessing"),
        ({}, mcq(0.2), "merged was not measured"),
    ],
)
def test_what_is_no_sign_of_a_wrong_set_up_is_not_told(
    merged: dict[str, TaskScores], other: dict[str, TaskScores], why: str
) -> None:
    assert at_chance({"merged": merged, "gguf-F16": other}, ["gguf-F16"]) == [], why


def test_pairs_are_guessed_by_halves() -> None:
    def pairs(share: float) -> dict[str, TaskScores]:
        return {
            "preference": TaskScores(
                [Metric("reward_accuracy", share, 300, *wilson(share, 300))], []
            )
        }

    [line] = at_chance({"merged": pairs(0.8), "served": pairs(0.49)}, ["served"])
    assert line.startswith("served scores like chance: preference reward_accuracy 0.490")
