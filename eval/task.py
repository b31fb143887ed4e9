"""The interface of an evaluation task: what it reads, measures and scores, and the words it
uses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from eval.backends.interface import Backend, Ids
from eval.job import Records
from eval.statistics import wilson
from stemma.recipe.eval_tasks import EvalTask
from stemma.rows import Score
from stemma.strict import Record
from stemma.templates import Template

Row = TypeVar("Row")
"""A kind of test row."""
Found = TypeVar("Found", bound="MeasuredRow")
"""A task's kind of sample."""


class MeasuredRow(Record):
    """One measured row.

    `ids_digest` covers the token ids scored: equal in every engine, or the scores mean nothing.
    """

    id: str
    ids_digest: str | None = None


@dataclass(frozen=True)
class Setting(Generic[Row]):
    """The surroundings of a measurement: all that a task's `measure` knows beside the backend."""

    template: Template
    options: EvalTask
    """What the task `reads` of its options; the others stand at their defaults."""
    rows: list[Row]
    """The test rows to measure: not always all, since what is kept is not measured again."""
    weights: Path
    load_seconds: float
    """From the engine's import to the loaded model, once."""
    loaded_again: list[float] = field(default_factory=list)
    """Seconds of each further load, in a process of their own; none where no task asks for them."""


@dataclass(frozen=True)
class Metric:
    """One figure: its value, on how many samples, and the bounds of its interval, if it has one."""

    name: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None

    @classmethod
    def share(cls, name: str, hits: Sequence[bool]) -> Metric:
        """The share of hits among independent trials, with Wilson's interval."""
        share = sum(hits) / len(hits)
        return cls(name, share, len(hits), *wilson(share, len(hits)))

    def score(self, variant: str, task: str) -> Score:
        """The figure as a row of results.json, with the file of the samples it stands on."""
        return Score(
            variant=variant,
            task=task,
            metric=self.name,
            value=self.value,
            n=self.n,
            low=self.low,
            high=self.high,
            samples=f"samples/{variant}/{task}.jsonl",
        )


@dataclass(frozen=True)
class TaskScores:
    """A task's figures on one variant."""

    metrics: list[Metric]
    samples: Records
    """Each row as the samples file shows it."""
    right: dict[str, dict[str, bool]] = field(default_factory=dict)
    """Yes-or-no metrics row by row, to compare variants in pairs."""
    facts: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    """The question each row belongs to, where a question has several rows: they are not
    independent."""


@dataclass(frozen=True)
class ScoreContext(Generic[Found]):
    """The surroundings of a score: all that a task's `score` knows beside the samples."""

    seed: int
    beta: float
    reference: list[Found]
    """The reference's samples of the same task; merged's where the task `uses_merged`."""
    options: EvalTask | None = None
    """The task's options in the recipe; None: as they are by default."""


@dataclass(frozen=True)
class RowSource(Generic[Row]):
    """The test rows a task is measured on."""

    data_set: str
    """The data set whose test split holds them."""
    read: Callable[[Path, int | None], tuple[list[Row], int]]
    """(rows to score, how many were skipped), from a file and at most so many."""


@dataclass(frozen=True)
class Task(Generic[Row, Found]):
    """One way to measure and score a variant; each module of `eval.tasks` holds one, as TASK."""

    rows: RowSource[Row] | None
    """None: it needs no rows."""
    sample: type[Found]
    measure: Callable[[Backend, Setting[Row]], Iterable[Found]]
    """Runs in the worker: slow, and kept sample by sample, as soon as one is handed over, in any
    order. A task without rows has one sample."""
    score: Callable[[list[Found], ScoreContext[Found]], TaskScores]
    """Pure: figures from what was measured."""
    reads: tuple[str, ...] = ()
    """The options that decide what is measured: samples of other values do not count. `measure` is
    handed the defaults of all others."""
    version: int = 1
    """Raised when `measure` finds something else under the same fields of a sample, so that older
    samples do not count."""
    uses_reference: bool = False
    """Scores compare with the reference's samples, so the reference is measured too."""
    uses_merged: bool = False
    """Likewise with merged's."""
    measures_process: bool = False
    """Figures are the process's own (its peak memory), so it is measured before the other tasks."""

    def score_records(
        self,
        samples: Records,
        reference: Records,
        seed: int,
        beta: float,
        options: EvalTask | None = None,
    ) -> TaskScores:
        """The figures of what a worker wrote down."""
        anchors = [self.sample.model_validate(record) for record in reference]
        found = [self.sample.model_validate(record) for record in samples]
        return self.score(found, ScoreContext(seed, beta, anchors, options))


def ids_digest(*parts: Ids) -> str:
    """Sixteen hexadecimal digits that stand for sequences of token ids."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
