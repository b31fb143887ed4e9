"""The end of a training as it is told on disk: `completed.json`, or `failure.json` with the reason.

The plugin writes one of them as its very last act, inside the training process; the launcher
believes nothing else, since Axolotl exits with 0 on Ctrl-C and on NaN, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stemma.errors import UserError
from stemma.facts import PeakMemory
from stemma.jsonl import read_json
from stemma.strict import Record

COMPLETED = "completed.json"
FAILURE = "failure.json"


class Completed(Record):
    """The completion marker: a training came to its end, and this is what it was."""

    binding: str
    """The digest of settings, data and starting weights (`checkpoints.binding_of`)."""
    steps: int
    """Optimizer steps that moved the weights."""
    skipped_steps: int
    """Steps that the engine left out, e.g. for an overflow in fp16."""
    planned_steps: int
    trainable_parameters: int
    parameters: int
    """Of the whole model, the trainable ones included."""
    dtype: str
    """The dtype the trainer computed in, by torch's name, e.g. `bfloat16`."""
    peak_memory: PeakMemory
    trainer: dict[str, str]
    """The DPO trainer's way, in words; empty of another trainer."""
    plugins: list[str]
    """The plugins that Axolotl loaded, named by the recipe or not."""
    history: list[dict[str, Any]]
    """The trainer's log, one row a logged step."""


class Failure(Record):
    """The reason that a training stopped before its end, and at which optimizer step."""

    step: int
    reason: str


def read_completed(output: Path, binding: str) -> Completed | None:
    """The marker of this very training in its output folder.

    None where there is none, and where it is another training's (somebody may have trained here by
    hand) or another Stemma's.
    """
    try:
        marker = Completed.model_validate(read_json(output / COMPLETED))
    except (OSError, UserError, ValidationError):
        return None
    return marker if marker.binding == binding else None


def read_failure(output: Path) -> Failure | None:
    """The reason that the training stopped; None where it left no word."""
    path = output / FAILURE
    return Failure.model_validate(read_json(path)) if path.is_file() else None
