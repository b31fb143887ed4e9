"""Jobs of the evaluation's workers: a variant, and the tasks to measure it on.

A cell is one variant on one task. Its samples are kept by what decides them: weights, template and
what the task's measuring reads of its options, and each sample by the content of its row.
"""

from __future__ import annotations

from typing import Any, Literal

from eval.unchanged import Stamps
from stemma.recipe.eval_arms import Arm, with_arm
from stemma.recipe.eval_servers import EvalServer
from stemma.recipe.eval_tasks import EvalTask
from stemma.strict import Record

Records = list[dict[str, Any]]
"""Samples of one task as JSON, row by row."""
Samples = dict[str, Records]
"""Samples by task."""
Measured = dict[str, Samples]
"""Samples by variant and task."""


class Variant(Record):
    """One set of weights in one format, and the text and threads it is measured with."""

    name: str
    kind: Literal["hf", "gguf", "server"]
    weights: str
    """Where they lie; of a server its address."""
    digest: str
    """Digest of the weights, from the manifest of the stage that made them; of a server that of all
    that is known of its model."""
    made_by: str | None
    """That stage; None of a base model that was made elsewhere."""
    template: str
    """The chat template's text."""
    bos: str
    eos: str
    """Texts of the tokens that the template calls `bos_token` and `eos_token`."""
    threads: int
    server: EvalServer | None = None
    repeat: int = 0
    """The number of this measurement of the same: a further one has other batches."""


class Cell(Record):
    """One task on one variant: what to measure, and where the samples are kept."""

    options: EvalTask
    """What measuring reads of the task's options; the others stand at their defaults."""
    limit: int | None
    """The first n test rows; None: all."""
    data: str | None
    """The file of test rows; None: the task needs none."""
    folder: str
    arm: Arm | None = None
    """What stands before the questions; its rows lie in a file of their own."""

    @property
    def task(self) -> str:
        return self.options.task

    @property
    def rows(self) -> str:
        """The name of the rows it is measured on: `mcq`, or `mcq+retrieved`."""
        return with_arm(self.task, self.arm)


class Job(Record):
    """One variant and its cells."""

    variant: Variant
    cells: list[Cell]
    stamps: Stamps = {}
    """Of the weights' files, as they were before they were hashed; none of a server."""
