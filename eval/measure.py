"""The words tasks share: what a worker is told (Job) and hands back (Measured), what a score is made of (Scored)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from eval.backends import Ids
from stemma.recipe.sections import EvalTask
from stemma.runs import digest_json
from stemma.templates import Template

FORMAT = 2
"""Of what tasks write down: raised when one measures something more, so that older findings are not taken for it."""


class Job(BaseModel):
    """One variant and what to measure on it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: str
    kind: Literal["hf", "gguf"]
    weights: str
    template: str
    """The chat template's text."""
    bos: str
    eos: str
    """What `bos_token` and `eos_token` in it stand for."""
    tasks: list[EvalTask]
    data: dict[str, str]
    """The test file of each task that reads one."""
    threads: int
    machine: str
    """Where it is measured: speeds hold for it alone."""
    digests: dict[str, str]
    """Of the weights and of each task's test file."""
    out: str

    @property
    def key(self) -> str:
        """The digest of all that decides what is found. Where files lie and what the variant is called is not of it:
        one recipe's reference is another's base."""
        return digest_json(self.model_dump(exclude={"variant", "weights", "data", "out"}) | {"format": FORMAT})


Samples = dict[str, list[dict[str, Any]]]
"""Of each task what was measured, row by row."""


class Measured(BaseModel):
    """What one worker found: the samples of every task, and the digest of the job they answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    samples: Samples


class Sample(BaseModel):
    """One measured row. `ids_digest` covers the token ids scored: equal in every engine, or the scores mean nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    ids_digest: str | None = None


@dataclass(frozen=True)
class Setting:
    """What a task's `measure` knows beside the backend."""

    template: Template
    options: EvalTask
    rows: list[Any]
    """The test rows to score."""
    weights: Path
    load_seconds: float


@dataclass(frozen=True)
class Metric:
    name: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Scored:
    """A task's figures on one variant. `right` holds yes-or-no metrics row by row, to compare variants in pairs."""

    metrics: list[Metric]
    samples: list[dict[str, Any]]
    right: dict[str, dict[str, bool]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    """The question each row belongs to, where a question has several rows: they are not independent."""


@dataclass(frozen=True)
class Context:
    """What a task's `score` knows beside the samples; `reference` holds the reference's samples of the same task."""

    seed: int
    beta: float
    reference: list[dict[str, Any]]


def ids_digest(*parts: Ids) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
