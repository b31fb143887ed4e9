"""The course's figures by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.course.files import CourseFile
from eval.course.grading import grade_pairs, keyed_by_prompt
from stemma.rows import PreferenceRow


def pair(line: int, prompt: str, first: int) -> PreferenceRow:
    return PreferenceRow(
        id=f"line-{line}",
        source="p.jsonl",
        question_id=f"line-{first}",
        prompt=prompt,
        chosen=f"chosen {line}",
        rejected=f"rejected {line}",
    )


def sample(row: PreferenceRow, chosen: float, rejected: float) -> dict[str, Any]:
    return {
        "id": row.id,
        "question_id": row.question_id,
        "chosen_log_prob": chosen,
        "rejected_log_prob": rejected,
        "chosen_tokens": 3,
        "rejected_tokens": 4,
    }


ROWS = [pair(1, "p", 1), pair(2, "p", 1), pair(4, "q", 4)]
FILE = CourseFile(Path("p.jsonl"), ROWS, alike=[3])
POLICY = [sample(ROWS[0], -1, -4), sample(ROWS[1], -5, -4), sample(ROWS[2], -2, -2)]
REFERENCE = [sample(ROWS[0], -1, -3), sample(ROWS[1], -9, -1), sample(ROWS[2], -2, -2)]


def test_rewards_take_each_row_s_own_reference() -> None:
    graded = grade_pairs(FILE, POLICY, REFERENCE, beta=0.1)
    # Margins 3 - 2 and -1 - -8: right; 0 - 0: a tie, wrong. Equal answers: wrong too.
    assert (graded.course.name, graded.course.value, graded.course.n) == (
        "policy_reward_accuracy",
        2 / 4,
        4,
    )
    figures = {metric.name: metric for metric in graded.scores.metrics}
    assert (figures["reward_accuracy"].value, figures["ties"].value) == (
        pytest.approx(2 / 3),
        pytest.approx(1 / 3),
    )
    assert graded.facts["pairs that share their prompt"] == 2
    assert graded.facts["pairs of equal answers, counted as wrong"] == 1


def test_keyed_by_prompt_the_first_pair_gets_the_second_s_reference() -> None:
    turned = [sample(ROWS[0], -1, -4), sample(ROWS[1], -9, -1), POLICY[2]]
    reference = [sample(ROWS[0], -1, -3), sample(ROWS[1], -1, -9), REFERENCE[2]]
    # By row: 3 > 2 right, -8 > 8 wrong. By prompt both are held against 8: none is right.
    assert grade_pairs(FILE, turned, reference, 0.1).scores.right["reward_accuracy"] == {
        "line-1": True,
        "line-2": False,
        "line-4": False,
    }
    assert keyed_by_prompt(FILE, turned, reference) == 0.0
