"""What a hyperparameter search found: its trials, the best first, as tables and as the settings that take it over."""

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
    """One combination: `value` is the metric's last, at `step`; `failed` says why there is none."""

    name: str
    values: dict[str, Any]
    value: float | None = None
    step: int | None = None
    failed: str = ""

    def sets(self, stage: str) -> list[str]:
        """The overrides that make a recipe this trial."""
        return [f"{stage}.{key}={json.dumps(value)}" for key, value in self.values.items()]


@dataclass(frozen=True)
class Results:
    """All trials, the best first."""

    stage: str
    metric: str
    goal: str
    trials: list[Trial]

    @property
    def best(self) -> Trial | None:
        return self.trials[0] if self.trials[0].value is not None else None

    def heads(self) -> list[str]:
        return ["trial", *self._keys(), self.metric, "step", ""]

    def rows(self) -> list[list[str]]:
        """A line a trial; values as YAML writes them."""
        return [
            [t.name, *(json.dumps(t.values[key]) if key in t.values else UNKNOWN for key in self._keys()),
             UNKNOWN if t.value is None else f"{t.value:.5g}", UNKNOWN if t.step is None else str(t.step),
             "best" if t is self.best else t.failed]
            for t in self.trials
        ]  # fmt: skip

    def take(self) -> str:
        """What takes the best values over: for the command line."""
        return " ".join(f"--set '{text}'" for text in self.best.sets(self.stage)) if self.best else ""

    def _keys(self) -> list[str]:
        return list(dict.fromkeys(key for trial in self.trials for key in trial.values))


def ranked(trials: Sequence[Trial], goal: str) -> list[Trial]:
    """The best first; those without a value last."""
    sign = 1 if goal == "min" else -1
    return sorted(trials, key=lambda trial: (trial.value is None, sign * (trial.value or 0)))


def read_results(run: Run) -> list[Results]:
    """The searches this run has finished, for the report."""
    found = []
    for path in sorted(run.folder("sweep").glob(f"*/{RESULTS}")):
        value = {name: part for name, part in read_json(path).items() if name != "take"}
        found.append(Results(**value | {"trials": [Trial(**trial) for trial in value["trials"]]}))
    return found


def written(results: Results) -> str:
    """The table for the terminal, and how to take the best."""
    return "\n".join([*aligned(results.heads(), results.rows()), f"take the best: {results.take()}"])
