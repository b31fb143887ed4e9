"""Planned and measured side by side, and what a hyperparameter search found. Pure: evidence in, cells out."""

from __future__ import annotations

from collections.abc import Iterator

from report.evidence import Evidence, Table
from report.readable import size
from stemma.plan import StagePlan
from stemma.runs import Manifest

Cell = int | float | str | None


def planned(evidence: Evidence) -> Table:
    """Of each training stage what `stemma plan` said and what came."""
    rows = [
        [stage.stage, *cells]
        for stage in evidence.plans
        for cells in _measures(stage, evidence.manifests[stage.stage], _runtime(evidence, stage.stage))
    ]
    return Table(("Stage", "Measure", "Planned", "Measured"), rows)


def _measures(plan: StagePlan, manifest: Manifest, seconds: float | None) -> Iterator[tuple[str, Cell, Cell]]:
    facts = manifest.facts
    yield "trained weights", plan.trainable, facts["trainable"]["trainable_parameters"]
    yield "optimizer steps", plan.steps, facts["steps"]
    peak = facts.get("peak_memory_bytes")
    yield "memory of one process at most", size(plan.memory.total), size(peak) if peak else None
    yield "seconds of training", None, seconds
    if plan.flops and seconds:
        yield "TFLOP of training", plan.flops / 1e12, None
        yield "of these a second", None, plan.flops / 1e12 / seconds


def _runtime(evidence: Evidence, stage: str) -> float | None:
    """The trainer's own clock; of a resumed run only the last part."""
    return next((record["train_runtime"] for record in evidence.histories[stage] if "train_runtime" in record), None)


def sweeps(evidence: Evidence) -> Table:
    """Every trial of every search, the best first."""
    rows = [
        [result.stage, ", ".join(trial.sets(result.stage)), result.metric, trial.value, trial.step,
         f"best ({result.goal})" if trial is result.best else trial.failed]
        for result in evidence.sweeps
        for trial in result.trials
    ]  # fmt: skip
    return Table(("Stage", "Trial", "Metric", "Value", "Step", ""), rows)
