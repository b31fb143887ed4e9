"""Grades of a model by the course's files: its own evaluator's figures, and ours around them. Pure.

The course's evaluator keeps the reference's log-probabilities by prompt, so all pairs of a prompt
are held against those of the last one. Here they are kept by row; what the other way would give is
shown beside it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from eval.course.files import CourseFile, row_id
from eval.job import Records
from eval.statistics import share_interval
from eval.task import Metric, TaskScores
from eval.tasks import TASKS
from stemma.rows import PreferenceRow

SEED = 42
"""Of the bootstrap, where the pairs of a prompt are kept together."""


@dataclass(frozen=True)
class Graded:
    """One variant's figures on one of the files."""

    scores: TaskScores
    course: Metric
    """The course's own figure."""
    facts: dict[str, Any]


def grade_questions(samples: Records) -> Graded:
    """The share of questions whose likeliest letter is the right one."""
    scores = TASKS["mcq"].score_records(samples, [], SEED, 1.0)
    accuracy = next(metric for metric in scores.metrics if metric.name == "accuracy")
    return Graded(scores, accuracy, scores.facts)


def grade_pairs(
    file: CourseFile[PreferenceRow], samples: Records, reference: Records, beta: float
) -> Graded:
    """The share of pairs whose chosen answer has the higher reward.

    Strictly higher, so a pair of equal answers, which no model can prefer one of, counts as wrong,
    as it does in the course's evaluator.
    """
    scores = TASKS["preference"].score_records(samples, reference, SEED, beta)
    hits = list(scores.right["reward_accuracy"].values()) + [False] * len(file.alike)
    groups = [row.question_id for row in file.rows] + [row_id(line) for line in file.alike]
    share = sum(hits) / len(hits)
    interval = share_interval(hits, groups, SEED)
    facts = scores.facts | {
        "pairs that share their prompt": _sharing(file),
        "pairs of equal answers, counted as wrong": len(file.alike),
        "reward accuracy with the reference keyed by prompt": keyed_by_prompt(
            file, samples, reference
        ),
    }
    return Graded(scores, Metric("policy_reward_accuracy", share, len(hits), *interval), facts)


def _sharing(file: CourseFile[PreferenceRow]) -> int:
    prompts = Counter(row.prompt for row in file.rows)
    return sum(count for count in prompts.values() if count > 1)


def keyed_by_prompt(file: CourseFile[PreferenceRow], samples: Records, reference: Records) -> float:
    """The accuracy as the course's evaluator takes it: of the reference each prompt's last pair
    alone is remembered. For comparison; the file's pairs of equal answers are left out."""
    last = {row.prompt: found for row, found in zip(file.rows, reference, strict=True)}
    right = [
        _margin(sample) > _margin(last[row.prompt])
        for row, sample in zip(file.rows, samples, strict=True)
    ]
    return sum(right) / len(right)


def _margin(sample: dict[str, Any]) -> float:
    return float(sample["chosen_log_prob"] - sample["rejected_log_prob"])
