"""Abstention: how often a variant is wrong if it answers only where it is sure of itself.

Confidence is the probability of the chosen letter among the letters of its question. Answering the
surest questions first gives the risk (share of wrong answers) at each coverage (share answered);
the area under that curve is the mean risk over all coverages (Geifman and El-Yaniv, NeurIPS 2017).
Confidence that says nothing gives the plain error as area; the best there can be, all right answers
surer than all wrong ones, stands beside it. Questions of equal confidence are answered together, so
that no order of rows decides.

Time: RESAMPLES passes over the questions, sorted once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.statistics import RESAMPLES, percentiles
from eval.task import Metric

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

POINTS = 101
COVERAGES = (0.25, 0.5, 0.75)
"""Shares of the questions at which the risk is told."""


class Answers:
    """One variant's answers to a task's questions, the surest first."""

    def __init__(self, confidence: Sequence[float], wrong: Sequence[bool]) -> None:
        given = np.asarray(confidence, dtype=np.float64)
        self._order = np.argsort(-given, kind="stable")
        self._wrong = np.asarray(wrong, dtype=np.float64)[self._order]
        self.confidence = given[self._order]
        changes = np.flatnonzero(np.diff(self.confidence)) + 1
        self._begins = np.concatenate([[0], changes])
        """The first question of each run of equal confidences."""

    def __len__(self) -> int:
        return len(self._wrong)

    @property
    def error(self) -> float:
        """The share of wrong answers when all are given."""
        return float(self._wrong.mean())

    def risks(self, times: Counts | None = None) -> tuple[Values, Values]:
        """The risk when the questions down to each confidence are answered, and the number of
        answers that this confidence adds.

        `times`: how often each question counts, in the order given; once by default.
        """
        weights = np.ones(len(self)) if times is None else times[self._order].astype(np.float64)
        added: Values = np.add.reduceat(weights, self._begins)
        answered = added.cumsum()
        wrong = np.add.reduceat(weights * self._wrong, self._begins).cumsum()
        return wrong / np.maximum(answered, 1.0), added

    def above(self, least: float) -> tuple[int, int]:
        """How many answers are at least so sure, and how many of these are wrong."""
        sure = self.confidence >= least
        return int(sure.sum()), int(self._wrong[sure].sum())

    def area(self, times: Counts | None = None) -> float:
        """The mean risk over all coverages: 0 is best."""
        risk, added = self.risks(times)
        return float(risk @ added / added.sum())


def answers(log_probs: Sequence[Mapping[str, float]], gold: Sequence[str]) -> Answers:
    """The answers of a multiple-choice task: each question's letters with their log-probabilities,
    and the right ones."""
    confidence, wrong = [], []
    for letters, right in zip(log_probs, gold, strict=True):
        values = np.array(list(letters.values()))
        confidence.append(float(1 / np.exp(values - values.max()).sum()))
        wrong.append(max(letters, key=lambda letter: letters[letter]) != right)
    return Answers(confidence, wrong)


def best_area(error: float, n: int) -> float:
    """The area where every right answer is surer than every wrong one: the risk is 0, then the
    wrong ones come one by one."""
    wrong = round(error * n)
    return sum(i / (n - wrong + i) for i in range(1, wrong + 1)) / n


def metrics(found: Answers, merged: Answers | None, seed: int) -> list[Metric]:
    """The area with its interval, the best one, the risk at a few coverages, and the area less
    merged's on the same questions: above zero, the variant knows less well where it is wrong."""
    n = len(found)
    rng = np.random.default_rng(seed)
    areas, changes = [], []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(n, size=n), minlength=n)
        areas.append(found.area(times))
        changes.append(areas[-1] - merged.area(times) if merged else 0.0)
    rows = [
        Metric("risk_area", found.area(), n, *percentiles(areas)),
        Metric("risk_area_best", best_area(found.error, n), n),
        *(_at(found, coverage) for coverage in COVERAGES),
    ]
    if merged:
        change = found.area() - merged.area()
        rows.append(Metric("risk_area_minus_merged", change, n, *percentiles(changes)))
    return rows


def curve(found: Answers) -> list[tuple[float, float]]:
    """(coverage, risk) at POINTS coverages, evenly spread, for a chart."""
    risk, added = found.risks()
    answered = added.cumsum()
    places = np.searchsorted(answered, np.linspace(1, len(found), min(POINTS, len(found))))
    distinct = sorted(set(places.tolist()))
    return [(float(answered[place] / len(found)), float(risk[place])) for place in distinct]


def _at(found: Answers, coverage: float) -> Metric:
    """The risk of the surest questions that are at least this share; n is how many are answered."""
    risk, added = found.risks()
    answered = added.cumsum()
    place = int(np.searchsorted(answered, coverage * len(found)))
    return Metric(f"risk_at_{coverage:.0%}", float(risk[place]), int(answered[place]))


def threshold(validation: Answers, risk: float) -> float | None:
    """The confidence from which on no more than `risk` of the validation answers are wrong, of the
    largest coverage that keeps it; None where even the surest do not."""
    curve, added = validation.risks()
    kept = np.flatnonzero(curve <= risk)
    if not len(kept):
        return None
    return float(validation.confidence[int(added.cumsum()[kept[-1]]) - 1])
