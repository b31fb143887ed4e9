"""What the report knows of a run: everything the other stages left behind, read once and then only looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stemma.plan.forecast import Plan
from stemma.recipe.models import Recipe
from stemma.rows import Score
from stemma.runs import Manifest, Output
from stemma.training.sweep_results import Results

Record = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Rows under heads. Cells keep their type, so that each page can write and align them: None is a dash."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]

    def is_numeric(self, column: int) -> bool:
        cells = [row[column] for row in self.rows]
        return any(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in cells)


@dataclass(frozen=True)
class Evidence:
    """`manifests` in chain order; `histories` holds the trainer's log per training stage; `statistics` what the data
    stage counted, by set."""

    recipe: Recipe
    manifests: dict[str, Manifest]
    scores: Sequence[Score]
    histories: dict[str, list[Record]]
    statistics: Record
    plan: Plan | None = None
    """What `stemma plan` says; None where the model's shapes are not known."""
    sweeps: Sequence[Results] = ()

    def score(self, variant: str, task: str, metric: str) -> Score | None:
        """The one score of this name, or None when it was not measured."""
        named = (score for score in self.scores if (score.variant, score.task, score.metric) == (variant, task, metric))
        return next(named, None)

    def weights(self, variant: str) -> Output | None:
        """The files of a variant; None for a base model that was not made here."""
        if variant in self.manifests:
            return self.manifests[variant].outputs["merged"]
        return None if variant == "base" else self.manifests["export"].outputs[variant]

    def chance(self, task: str) -> float | None:
        """What guessing would score: of pairs one half, of the multiple-choice questions what was measured."""
        if task == "preference":
            return 0.5
        return next((score.value for score in self.scores if (score.task, score.metric) == (task, "chance")), None)
