"""The results of a hyperparameter search: its trials, best first, as tables and as settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stemma.jsonl import read_json
from stemma.runs import Run
from stemma.table import UNKNOWN, aligned

RESULTS = "sweep.json"


@dataclass(frozen=True)
class Trial:
    """One combination of settings, and what came of it."""

    name: str
    values: dict[str, Any]
    """The settings, by key of the stage."""
    value: float | None = None
    """The metric's last value; None where there is none."""
    step: int | None = None
    """The optimizer step at which it was logged."""
    failed: str = ""
    """Why there is no value."""

    def sets(self, stage: str) -> list[str]:
        """The overrides that make a recipe this trial."""
        return [f"{stage}.{key}={json.dumps(value)}" for key, value in self.values.items()]


@dataclass(frozen=True)
class Results:
    """All trials of a search over the settings of one stage, the best first."""

    stage: str
    metric: str
    goal: str
    """`min` or `max`."""
    trials: list[Trial]

    @property
    def best(self) -> Trial | None:
        first = self.trials[0]
        return None if first.value is None else first

    def heads(self) -> list[str]:
        return ["trial", *self._keys(), self.metric, "step", ""]

    def rows(self) -> list[list[str]]:
        """A line for each trial; values as YAML writes them."""
        return [self._row(trial) for trial in self.trials]

    def _row(self, trial: Trial) -> list[str]:
        values = trial.values
        return [
            trial.name,
            *(json.dumps(values[key]) if key in values else UNKNOWN for key in self._keys()),
            UNKNOWN if trial.value is None else f"{trial.value:.5g}",
            UNKNOWN if trial.step is None else str(trial.step),
            "best" if trial is self.best else trial.failed,
        ]

    def take(self) -> str:
        """The command line's options that take the best values over."""
        if self.best is None:
            return ""
        return " ".join(f"--set '{text}'" for text in self.best.sets(self.stage))

    def _keys(self) -> list[str]:
        """Every key that some trial sets, in the order of its first appearance."""
        return list(dict.fromkeys(key for trial in self.trials for key in trial.values))


def ranked(trials: Sequence[Trial], goal: str) -> list[Trial]:
    """The best first; those without a value last."""
    sign = 1 if goal == "min" else -1

    def place(trial: Trial) -> tuple[bool, float]:
        return trial.value is None, sign * (trial.value or 0)

    return sorted(trials, key=place)


def read_results(run: Run) -> list[Results]:
    """The searches this run has finished, for the report."""
    return [_results(read_json(path)) for path in sorted(run.folder("sweep").glob(f"*/{RESULTS}"))]


def _results(stored: dict[str, Any]) -> Results:
    trials = [Trial(**trial) for trial in stored["trials"]]
    return Results(stored["stage"], stored["metric"], stored["goal"], trials)


def written(results: Results) -> str:
    """The table for the terminal, and how to take the best."""
    table = aligned(results.heads(), results.rows())
    return "\n".join([*table, f"take the best: {results.take()}"])
