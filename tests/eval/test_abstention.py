"""Risk against coverage: by hand, by brute force, and by simulation."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from eval.abstention import Answers, answers, best_area, metrics, threshold


def test_confidence_is_the_chosen_letters_share() -> None:
    letters = {"A": log(0.1), "B": log(0.3)}  # of a whole vocabulary: 0.75 of what letters have
    found = answers([letters, {"A": -1.0, "B": -1.0}], ["B", "B"])
    assert found.confidence.tolist() == pytest.approx([0.75, 0.5])
    assert found.error == 0.5, "a tie goes to the first letter, A"


def test_the_area_by_hand() -> None:
    # The surest first: right, wrong, right, wrong. Risks 0, 1/2, 1/3, 1/2.
    found = Answers([0.6, 0.9, 0.8, 0.7], [True, False, True, False])
    risk, added = found.risks()
    assert (risk.tolist(), added.tolist()) == (pytest.approx([0, 1 / 2, 1 / 3, 1 / 2]), [1] * 4)
    assert found.area() == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    # Both wrong ones last: 0, 0, 1/3, 2/4.
    assert best_area(0.5, 4) == pytest.approx((1 / 3 + 1 / 2) / 4)


def test_equal_confidences_are_answered_together() -> None:
    found = Answers([0.9, 0.5, 0.5, 0.5], [False, True, False, True])
    assert found.area() == pytest.approx((0 + 3 * 2 / 4) / 4)
    reordered = Answers([0.5, 0.5, 0.9, 0.5], [True, True, False, False])
    assert found.area() == reordered.area()
    # All alike: the confidence says nothing, and the area is the error.
    assert Answers([0.4] * 5, [True, False, False, False, True]).area() == pytest.approx(0.4)


def test_the_area_of_many_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(500).round(2)  # with ties
    wrong = rng.random(500) > confidence
    expected = 0.0
    for one in confidence:
        answered = wrong[confidence >= one]
        expected += answered.mean() / 500
    assert Answers(confidence.tolist(), wrong.tolist()).area() == pytest.approx(expected)


def test_a_resample_is_what_its_rows_give() -> None:
    rng = np.random.default_rng(1)
    confidence, wrong = rng.random(60).round(1), rng.random(60) < 0.3
    picks = rng.integers(60, size=60)
    whole = Answers(confidence.tolist(), wrong.tolist())
    drawn = Answers(confidence[picks].tolist(), wrong[picks].tolist())
    assert whole.area(np.bincount(picks, minlength=60)) == pytest.approx(drawn.area())


def test_the_figures_of_a_variant() -> None:
    found = Answers([0.6, 0.9, 0.8, 0.7], [True, False, True, False])
    merged = Answers([0.9, 0.8, 0.7, 0.6], [False, False, True, True])
    rows = {metric.name: metric for metric in metrics(found, merged, seed=1)}
    assert rows["risk_area"].value == pytest.approx(1 / 3)
    assert (rows["risk_at_50%"].value, rows["risk_at_50%"].n) == (0.5, 2)
    change = rows["risk_area_minus_merged"]
    assert change.value == pytest.approx(1 / 3 - (1 / 3 + 1 / 2) / 4)
    assert change.low is not None
    assert change.high is not None
    assert change.low <= change.value <= change.high
    itself = {metric.name: metric for metric in metrics(found, found, seed=1)}
    assert itself["risk_area_minus_merged"].value == 0
    assert metrics(found, None, seed=1)[-1].name == "risk_at_75%"
    assert metrics(found, merged, seed=1) == metrics(found, merged, seed=1)


def test_the_interval_covers_in_a_simulation() -> None:
    """Confidence that is right: an answer of confidence c is wrong with a chance of 1 - c. Of 60
    draws of 150 questions 57 +- 1.7 should hold the area of 200,000."""
    rng = np.random.default_rng(2)

    def draw(n: int) -> Answers:
        confidence = rng.uniform(0.4, 1.0, n)
        return Answers(confidence.tolist(), (rng.random(n) > confidence).tolist())

    truth = draw(200_000).area()
    held = 0
    for seed in range(60):
        area = metrics(draw(150), None, seed)[0]
        assert area.low is not None
        assert area.high is not None
        held += area.low <= truth <= area.high
    assert held >= 51


def test_one_question_and_no_error() -> None:
    assert Answers([0.7], [False]).area() == 0.0
    one = metrics(Answers([0.7], [True]), None, seed=1)
    assert [(row.name, row.value) for row in one][:2] == [
        ("risk_area", 1.0),
        ("risk_area_best", 1.0),
    ]
    assert best_area(0.0, 9) == 0.0


def test_a_threshold_is_the_largest_coverage_that_keeps_the_risk() -> None:
    # Risks 0, 1/2, 1/3, 1/2 at 0.9, 0.8, 0.7, 0.6.
    found = Answers([0.6, 0.9, 0.8, 0.7], [True, False, True, False])
    assert threshold(found, 0.35) == 0.7
    assert threshold(found, 0.1) == 0.9
    assert threshold(found, 0.5) == 0.6
    assert threshold(Answers([0.9, 0.8], [True, False]), 0.2) is None
    # Equal ones cannot be told apart: 0.5 keeps 1/4 of four, no less.
    assert threshold(Answers([0.5] * 4, [True, False, False, False]), 0.2) is None
    assert threshold(Answers([0.5] * 4, [True, False, False, False]), 0.25) == 0.5
