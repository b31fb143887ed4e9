"""Jobs of the evaluation's workers: what one is told to measure, and what it hands back."""

from __future__ import annotations

from typing import Any, Literal

from stemma.recipe.evaluation import EvalTask
from stemma.runs import digest_json
from stemma.strict import Record

FORMAT = 2
"""Version of what tasks write down: raised when one measures more, so that older findings do not
count."""


class Job(Record):
    """One variant and what to measure on it."""

    variant: str
    kind: Literal["hf", "gguf"]
    weights: str
    template: str
    """The chat template's text."""
    bos: str
    eos: str
    """Texts of the tokens that the template calls `bos_token` and `eos_token`."""
    tasks: list[EvalTask]
    data: dict[str, str]
    """The test file of each task that reads one."""
    threads: int
    machine: str
    """The machine that measures: speeds hold for it alone."""
    digests: dict[str, str]
    """Digests of the weights and of each task's test file."""
    out: str

    @property
    def key(self) -> str:
        """The digest of all that decides what is found.

        Where files lie and what the variant is called is not part of it: one recipe's reference is
        another's base.
        """
        decisive = self.model_dump(exclude={"variant", "weights", "data", "out"})
        return digest_json(decisive | {"format": FORMAT})


Records = list[dict[str, Any]]
"""Samples of one task as JSON, row by row."""
Samples = dict[str, Records]
"""Samples by task."""


class Findings(Record):
    """Findings of one worker: the samples of every task, and the digest of the job."""

    key: str
    samples: Samples
