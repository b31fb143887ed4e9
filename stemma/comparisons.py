"""Every variant held against merged, as the evaluation writes it (`verdicts.json`, `flips.jsonl`)
and the report reads it."""

from __future__ import annotations

from typing import Literal

from stemma.strict import Record

BASELINE = "merged"
"""The variant others are compared with: what training made, before any format took something
away."""

Verdict = Literal["non-inferior", "not shown", "worse", "inferior"]
"""What n questions show of a variant against merged; that there is no difference is never one.

- `non-inferior`: at most `margin` worse, at `level`.
- `not shown`: n is too small to tell.
- `worse`: not shown to be within the margin, and worse at all (Holm's p under 0.05).
- `inferior`: more than `margin` worse, at `level`.
"""


class Comparison(Record):
    """One variant against merged on the same questions of one task."""

    variant: str
    task: str
    metric: str
    """The yes-or-no metric, e.g. `accuracy`."""
    n: int
    """Rows that both answered."""
    questions: int
    """Questions these rows ask: rows of one question are not independent."""
    worth: int
    """Independent questions that the rows are worth: n, unless several rows ask one question."""
    lost: int
    """Rows that merged alone got right."""
    gained: int
    """Rows that the variant alone got right."""
    difference: float
    """Accuracy of the variant less that of merged."""
    at_least: float
    """Lower confidence bound of the difference, one-sided at `level`: decides the verdict."""
    at_most: float
    """Upper confidence bound, one-sided at `level`."""
    low: float
    """Two-sided 95 % interval of the difference."""
    high: float
    p: float
    """Exact two-sided p-value of no difference (McNemar's; with several rows a question, signs of
    whole questions)."""
    p_holm: float
    """The same, corrected by Holm for all variants compared on this task."""
    verdict: Verdict
    needed: int | None
    """Questions with which four of five such evaluations would show non-inferiority, if as many
    answers change and the truth is no difference; None where something is shown."""
    spread: float | None = None
    """The difference between two measurements of one and the same variant (`eval.repeat`), the
    larger of this variant's and merged's; None: measured once."""

    @property
    def within_noise(self) -> bool:
        """Whether measuring the same weights twice makes as much of a difference."""
        return self.spread is not None and abs(self.difference) <= self.spread


class FileVerdict(Record):
    """A variant's verdict over all tasks: it is non-inferior where it is on every one of them."""

    variant: str
    verdict: Verdict
    reason: str
    """In words: the comparison that decided."""


class Verdicts(Record):
    """All comparisons of an evaluation, and the rule they were judged by."""

    baseline: str
    margin: float
    level: float
    files: list[FileVerdict]
    comparisons: list[Comparison]


class Flip(Record):
    """A row on which at least one variant differs from merged in being right."""

    task: str
    metric: str
    id: str
    """The row's id, as in the samples of each variant."""
    question: str
    """Its question, where a question has several rows; else the id."""
    merged_right: bool
    flipped: list[str]
    """Variants that lost it (`merged_right`) or gained it."""


class Share(Record):
    """A share of right rows with its 95 % interval."""

    value: float
    low: float
    high: float


class SharedRows(Record):
    """Every arm of one set of weights on the rows that all of them answered (`arm_table.jsonl`)."""

    weights: str
    task: str
    metric: str
    n: int
    values: dict[str, Share]
    """By arm; closed-book is the empty name."""


class ArmComparison(Record):
    """One set of weights asked with passages, against the same asked in another way, on the rows
    that both answered (`arms.jsonl`)."""

    variant: str
    """E.g. `dpo+retrieved`."""
    against: str
    """E.g. `dpo`, which is asked closed-book, or `dpo+random`."""
    task: str
    metric: str
    n: int
    """Rows that both answered."""
    questions: int
    value: float
    """The metric of `variant` over these rows."""
    value_against: float
    """The metric of `against` over the same."""
    lost: int
    """Rows that `against` alone got right."""
    gained: int
    """Rows that `variant` alone got right."""
    difference: float
    low: float
    """Two-sided 95 % interval of the difference."""
    high: float
    p: float
    """Exact two-sided p-value of no difference, paired by question."""
    p_holm: float
    """The same, corrected by Holm for all comparisons of the task and metric."""
