"""Jobs and findings of a benchmark worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.job import Variant
from eval.unchanged import Stamps
from stemma.digests import digest_json
from stemma.errors import UserError
from stemma.jsonl import read_json, write_json
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
    stamps: Stamps = {}
    """Of the weights' files and the tasks', as they were before they were hashed."""
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


def write_findings(path: Path, findings: dict[str, Any]) -> None:
    """Keep findings, as JSON has them, with a digest of themselves."""
    write_json(path, {"sha256": digest_json(findings), "findings": findings})


def read_findings(path: Path) -> BenchmarkFindings | None:
    """What was kept; None where it is not as it was written."""
    try:
        kept = read_json(path)
    except UserError:
        return None
    if not isinstance(kept, dict) or kept.keys() != {"sha256", "findings"}:
        return None
    if kept["sha256"] != digest_json(kept["findings"]):
        return None
    return BenchmarkFindings.model_validate(kept["findings"])
