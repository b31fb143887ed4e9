"""The material of a report: everything the other stages left behind, read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from report.samples import SampleBook
from stemma.chain import lineage
from stemma.comparisons import ArmComparison, Comparison, SharedRows, Verdicts
from stemma.facts import DataCounts, DataFacts, ScoredCounts, SetStatistics, SplitCounts
from stemma.plan.forecast import Plan
from stemma.recipe.models import Recipe
from stemma.rows import Score
from stemma.runs import Manifest, Output
from stemma.training.sweep_results import Results

SHORT, LONG = 16, 40
"""Characters, up to which a column holds single words, and above which it holds sentences."""
Record = dict[str, Any]
"""One line of a trainer's log."""


@dataclass(frozen=True)
class Table:
    """Rows under heads.

    Cells keep their type, so that each page can write and align them: None is a dash.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]

    def is_numeric(self, column: int) -> bool:
        """Whether a column holds numbers, to be aligned right."""
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)

    def css(self, column: int) -> str:
        """The style of a column: numbers, single words, sentences, or neither."""
        if self.is_numeric(column):
            return "num"
        longest = max((len(str(row[column])) for row in self.rows), default=0)
        return "long" if longest > LONG else "short" if longest <= SHORT else ""


@dataclass(frozen=True)
class ArmData:
    """What the evaluation found of variants that were asked with passages."""

    compared: Sequence[ArmComparison]
    shared: Sequence[SharedRows]
    risk: Sequence[Record]
    """Points of risk over coverage by the search's score, by variant and task."""


@dataclass(frozen=True)
class RunData:
    """A run, as the report sees it."""

    recipe: Recipe
    manifests: dict[str, Manifest]
    """Manifests of all stages, in chain order."""
    data: DataFacts
    data_counts: DataCounts
    statistics: dict[str, SetStatistics]
    """Figures of each data set."""
    trained: dict[str, dict[str, SplitCounts]]
    """Rows and tokens by training stage and split."""
    scored: dict[str, ScoredCounts]
    """Test rows by evaluation task."""
    scores: Sequence[Score]
    histories: dict[str, list[Record]]
    """The trainer's log of each training stage."""
    plan: Plan | None = None
    """The forecast of `stemma plan`; None where the model's shapes are not known."""
    sweeps: Sequence[Results] = ()
    verdicts: Verdicts | None = None
    """Every variant held against merged; None of an evaluation that an earlier Stemma made."""
    abstention: Sequence[Record] = ()
    """Points of risk over coverage, by variant; empty where abstention was not measured."""
    fitted: Record | None = None
    """What stage `rag` fitted of its search, and on what; None where it fitted nothing."""
    arms: ArmData | None = None
    """Variants asked with passages; None where there are none."""
    samples: SampleBook | None = None
    """Single questions and answers; None where the page shows none."""

    def score(self, variant: str, task: str, metric: str) -> Score | None:
        """The one score of this name, or None when it was not measured."""
        wanted = (variant, task, metric)
        for score in self.scores:
            if (score.variant, score.task, score.metric) == wanted:
                return score
        return None

    def comparison(self, variant: str, task: str, metric: str) -> Comparison | None:
        """The one comparison with merged of this name, or None where there is none."""
        wanted = (variant, task, metric)
        for one in self.verdicts.comparisons if self.verdicts else ():
            if (one.variant, one.task, one.metric) == wanted:
                return one
        return None

    def weights(self, variant: str) -> Output | None:
        """The files of a variant; None for a base model that was not made here."""
        if variant in self.manifests:
            return self.manifests[variant].outputs["merged"]
        return None if variant == "base" else self.manifests["export"].outputs[variant]

    @property
    def came_of(self) -> list[str]:
        """The weights that led to the exported model, in order."""
        return ["base", *reversed(lineage(self.recipe))]

    @property
    def at_chance(self) -> list[str]:
        """Sentences of variants that guess where merged does not; most evaluations have none."""
        found: list[str] = self.manifests["eval"].facts.get("at_chance", [])
        return found

    def chance(self, task: str) -> float | None:
        """The score of guessing: one half of the pairs; of multiple choice what was measured."""
        if task == "preference":
            return 0.5
        for score in self.scores:
            if (score.task, score.metric) == (task, "chance"):
                return score.value
        return None
