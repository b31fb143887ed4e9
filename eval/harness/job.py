"""Jobs and findings of a benchmark worker."""

from __future__ import annotations

from typing import Any

from eval.job import Variant
from stemma.recipe.evaluation import Benchmarks
from stemma.strict import Record

FORMAT = 1
"""Version of what is found and how: raised when older findings shall not count."""


class WantedBenchmark(Record):
    """One benchmark that the recipe names, and where its findings go."""

    name: str
    key: str
    """The digest of all that decides what is found."""
    out: str


class BenchmarkJob(Record):
    """One variant and the benchmarks to measure on it."""

    variant: Variant
    tokenizer: str
    """The folder whose tokenizer says how a text begins: every variant has the same."""
    settings: Benchmarks
    wanted: list[WantedBenchmark]
    folders: list[str]
    """Folders with task files: the harness's own that are needed, then the recipe's."""
    root: str
    """Where data files lie that do not lie beside their task file."""
    tables: str
    """Where the harness keeps what it has read of local files."""
    hub: dict[str, str] = {}
    """Data sets of the hub that are read, and their pinned revisions."""


class HarnessFigure(Record):
    """One figure of a task as lm-evaluation-harness gives it."""

    metric: str
    filter: str
    value: float | None
    """None where the harness found no number."""
    stderr: float | None


class TaskFindings(Record):
    """Figures of one task, or of a group over its tasks."""

    figures: list[HarnessFigure]
    tasks: list[str]
    """The tasks of a group; of a task itself none."""
    facts: dict[str, Any]


class BenchmarkFindings(Record):
    """All that was found of one benchmark on one variant."""

    key: str
    tasks: dict[str, TaskFindings]
    samples: dict[str, list[dict[str, Any]]]
    """By task, in the shape of lm-evaluation-harness's own samples files."""
    facts: dict[str, Any]
