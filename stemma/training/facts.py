"""The facts that a LoRA stage's manifest records of its training, for the report."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.runs import Manifest
from stemma.training.completion import PeakMemory


class Trainable(BaseModel):
    """The weights that were trained, of those there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trainable_parameters: int
    parameters: int
    share: float
    """The former divided by the latter."""


class TrainingFacts(BaseModel):
    """What a training was, as its manifest says beside its gates' figures."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: str
    """In words: the weights it started from, and whether they are DPO's reference."""
    trainable: Trainable
    computed_in: str
    """The trainer's dtype, by torch's name, e.g. `bfloat16`."""
    peak_memory: PeakMemory
    steps: int
    """Optimizer steps that moved the weights."""
    processes: int
    """Training processes, on all machines together."""
    rows_a_step: int
    """Rows (packed: sequences) of one optimizer step, on all processes together."""
    trainer: dict[str, str]
    """What the DPO trainer did, in words; empty of another trainer."""
    plugins: list[str]
    """What Axolotl loaded, named by the recipe or not."""
    deepspeed: str
    """The file of DeepSpeed's own optimizer state, or `not asked for`."""


def training_facts(manifest: Manifest) -> TrainingFacts | None:
    """The facts of a LoRA stage; None of a manifest that an earlier Stemma wrote otherwise."""
    names = TrainingFacts.model_fields.keys()
    own = {name: value for name, value in manifest.facts.items() if name in names}
    try:
        return TrainingFacts.model_validate(own)
    except ValidationError:
        return None
