"""Rewards on held-out pairs: does the model, against the reference, prefer the chosen answer to the
rejected one?

A row: `{"id": "…", "question_id": "…", "prompt": "What is 2 + 3?", "chosen": "2 + 3 = 5",
"rejected": "6", …}`. reward = beta * (log p_variant - log p_reference), summed over the answer's
tokens with the stop token. The reference's figures are kept by row, not by prompt: many pairs share
a prompt.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from eval.backends.interface import Backend, requests_of
from eval.statistics import bootstrap_mean, share_interval
from eval.task import (
    MeasuredRow,
    Metric,
    RowSource,
    ScoreContext,
    Setting,
    Task,
    TaskScores,
    ids_digest,
)
from stemma.jsonl import read_rows
from stemma.rows import PreferenceRow
from stemma.templates import rendered


class PreferenceSample(MeasuredRow):
    """One pair: the log-probability of each answer, summed over its tokens."""

    question_id: str
    chosen_log_prob: float
    rejected_log_prob: float
    chosen_tokens: int
    rejected_tokens: int


class Rewarded(PreferenceSample):
    """A pair with the rewards of its two answers."""

    chosen_reward: float
    rejected_reward: float

    @property
    def margin(self) -> float:
        return self.chosen_reward - self.rejected_reward


def read(path: Path, limit: int | None) -> tuple[list[PreferenceRow], int]:
    """The rows to score, and how many were skipped."""
    return read_rows(path, PreferenceRow)[:limit], 0


def measure(backend: Backend, setting: Setting[PreferenceRow]) -> Iterator[PreferenceSample]:
    """The log-probabilities of both answers of every pair."""
    requests = requests_of(backend, [rendered(row, setting.template) for row in setting.rows])
    for place, (chosen, rejected) in backend.scored(requests):
        row, request = setting.rows[place], requests[place]
        yield PreferenceSample(
            id=row.id,
            question_id=row.question_id,
            ids_digest=ids_digest(request.prompt, *request.answers),
            chosen_log_prob=sum(chosen),
            rejected_log_prob=sum(rejected),
            chosen_tokens=len(chosen),
            rejected_tokens=len(rejected),
        )


def reward(
    rows: list[PreferenceSample], reference: list[PreferenceSample], beta: float
) -> list[Rewarded]:
    """Each pair's rewards, its reference figures found by the row's id."""
    anchors = {row.id: row for row in reference}
    return [
        Rewarded(
            **row.model_dump(),
            chosen_reward=beta * (row.chosen_log_prob - anchors[row.id].chosen_log_prob),
            rejected_reward=beta * (row.rejected_log_prob - anchors[row.id].rejected_log_prob),
        )
        for row in rows
    ]


def score(samples: list[PreferenceSample], context: ScoreContext[PreferenceSample]) -> TaskScores:
    """A tie counts as wrong and is shown beside, so the reference itself gets accuracy 0 and ties
    1.

    The pairs of a question are not independent: intervals resample whole questions. Answers of
    equal length leave "the longer one" to chance: they count half in `longer_accuracy`, and not at
    all in the one of those that differ.
    """
    rows = reward(samples, context.reference, context.beta)
    right = {row.id: row.margin > 0 for row in rows}
    questions = {row.id: row.question_id for row in rows}
    seed = context.seed
    likelier = [row.chosen_log_prob > row.rejected_log_prob for row in rows]
    metrics = [
        _share("reward_accuracy", [row.margin > 0 for row in rows], rows, seed),
        _mean("reward_margin", [row.margin for row in rows], rows, seed),
        _share("ties", [row.margin == 0 for row in rows], rows, seed),
        _mean("chosen_reward", [row.chosen_reward for row in rows], rows, seed),
        _mean("rejected_reward", [row.rejected_reward for row in rows], rows, seed),
        _share("log_prob_accuracy", likelier, rows, seed),
        *_longer(rows, seed),
    ]
    shown = [row.model_dump() | {"margin": row.margin, "right": right[row.id]} for row in rows]
    facts = {"pairs": len(rows), "questions": len(set(questions.values()))}
    return TaskScores(metrics, shown, {"reward_accuracy": right}, facts, questions)


def _longer(rows: list[Rewarded], seed: int) -> list[Metric]:
    """The share of pairs whose longer answer is the chosen one: a baseline to be beaten."""
    excess = [row.chosen_tokens - row.rejected_tokens for row in rows]
    hits_or_half = [0.5 if not tokens else float(tokens > 0) for tokens in excess]
    metrics = [_mean("longer_accuracy", hits_or_half, rows, seed)]
    differ = [row for row, tokens in zip(rows, excess, strict=True) if tokens]
    if differ:
        hits = [row.chosen_tokens > row.rejected_tokens for row in differ]
        metrics.append(_share("longer_accuracy_of_different", hits, differ, seed))
    return metrics


def _share(name: str, hits: list[bool], rows: list[Rewarded], seed: int) -> Metric:
    interval = share_interval(hits, [row.question_id for row in rows], seed)
    return Metric(name, sum(hits) / len(hits), len(hits), *interval)


def _mean(name: str, values: list[float], rows: list[Rewarded], seed: int) -> Metric:
    interval = bootstrap_mean(values, [row.question_id for row in rows], seed)
    return Metric(name, sum(values) / len(values), len(values), *interval)


TASK = Task(RowSource("dpo", read), PreferenceSample, measure, score, uses_reference=True)
