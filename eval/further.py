"""Figures beyond a task's own, which come after the measuring: of texts, of variants compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eval.job import Records
from stemma.rows import Score


@dataclass(frozen=True)
class Further:
    """Figures beyond a task's own: of variants compared, or of all tasks together."""

    scores: list[Score] = field(default_factory=list)
    samples: dict[str, Records] = field(default_factory=dict)
    """Rows of files, by name: `judge/verdicts` is written to `judge/verdicts.jsonl`."""
    facts: dict[str, Any] = field(default_factory=dict)
