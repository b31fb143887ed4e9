"""A rehearsal made to fit this machine: the shortened recipe, the model's config, and its refusal.

All is decided here before anything runs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.base_model.files import read_shapes
from stemma.base_model.folder import check_base_model
from stemma.chain import chain
from stemma.errors import Problem, UserError
from stemma.plan.forecast import Hardware, Plan, plan
from stemma.plan.peaks import PROCESS
from stemma.recipe.load import find, load
from stemma.recipe.models import Recipe
from stemma.rehearsal import made_model
from stemma.rehearsal.changes import Changes, Machine, lacking, shorten
from stemma.runs import Run
from stemma.shapes import Shapes
from stemma.training.precision import cpu_has_bfloat16
from stemma.usage import folder_bytes, free_memory

FOLDER = "rehearsals"
"""Beside the real runs: nothing of a rehearsal is ever taken for a run's."""
MOST_BYTES = 20_000_000_000
"""Batches are halved until a stage's forecast is below this, also where there is more memory."""


@dataclass(frozen=True)
class Request:
    """The rehearsal that the command line asks for."""

    name: str
    """The recipe's."""
    overrides: Sequence[str]
    runs: Path
    layers: int | None = None
    """How many of the model's layers; None: all."""


@dataclass(frozen=True)
class Rehearsal:
    """All that is known of a rehearsal before anything runs."""

    full: Recipe
    """The user's."""
    recipe: Recipe
    """The shortened one, which runs."""
    run: Run
    config: Any
    """transformers' config of the model to be made; None where the recipe makes its own."""
    changes: Changes
    lacking: list[str]
    """What the full run needs and this machine does not have."""

    @property
    def model(self) -> Path:
        return self.run.root / "model"


def this_machine(runs: Path) -> Machine:
    """The memory, disk and processor at hand; `runs` is where the run folders lie."""
    import torch

    runs.mkdir(parents=True, exist_ok=True)
    return Machine(
        memory=free_memory(),
        disk=shutil.disk_usage(runs).free,
        bfloat16=cpu_has_bfloat16(),
        gpu=torch.cuda.is_available(),
    )


def asked_of(machine: Machine) -> Hardware:
    """What `plan` is to forecast of the machine."""
    return Hardware(cpu=not machine.gpu, bfloat16=machine.bfloat16)


def real_run(request: Request) -> Run:
    """The run folder of the recipe itself."""
    return Run(request.runs / find(request.name).stem)


def fit(request: Request, machine: Machine) -> Rehearsal:
    """Shorten the recipe until it fits. Raises UserError when the machine is too small for it."""
    full = load(request.name, request.overrides)
    real = real_run(request)
    has_weights = made_model.has_weights(full, real)
    check_base_model(full, real, chain(full) if has_weights else [])
    run = Run(request.runs / FOLDER / full.name)
    model = None if full.base else run.root / "model"
    refuse_layers(read_shapes(full, real), request.layers)
    config = made_model.config_of(full, real, request.layers) if model else None
    changes = shorten(full, machine, model, request.layers)
    with _readable(config, run) as known:

        def planned() -> Plan:
            recipe = load(request.name, changes.around(request.overrides))
            return plan(recipe.model_copy(update=known), run, asked_of(machine))

        _shrink_batches(changes, planned, full, machine)
        refuse_small(planned(), machine, folder_bytes(run.root))
    recipe = load(request.name, changes.around(request.overrides))
    missing = lacking(full, os.environ, has_weights)
    return Rehearsal(full, recipe, run, config, changes, missing)


@contextmanager
def _readable(config: Any, run: Run) -> Iterator[dict[str, str]]:
    """The config.json of a model that is not made yet, where `plan` reads a model's shapes.

    Gives what the recipe must say for that.
    """
    if config is None:
        yield {}
        return
    folder = run.root / ".config"
    config.save_pretrained(folder)
    try:
        yield {"base_model": str(folder)}
    finally:
        shutil.rmtree(folder)


def _shrink_batches(
    changes: Changes, planned: Callable[[], Plan], full: Recipe, machine: Machine
) -> None:
    """Halve the micro-batches of stages that would not fit, until they do or are of one row."""
    most = min(MOST_BYTES, machine.memory) - PROCESS["engines"]
    stages = full.training_stages()
    before = {stage: full.axolotl(stage).get("micro_batch_size", 1) for stage in stages}
    sizes = dict(before)
    while wide := _too_wide(planned(), most, sizes):
        for stage in wide:
            sizes[stage] //= 2
            changes.set(f"{stage}.micro_batch_size", sizes[stage])
    for stage, size in sizes.items():
        if size != before[stage]:
            halved = f"micro_batch_size {before[stage]} → {size}"
            changes.notes.append(f"{stage}: {halved}, to fit into memory")


def _too_wide(forecast: Plan, most: int, sizes: dict[str, int]) -> list[str]:
    """The stages that need more than `most` bytes, and have a batch to halve."""
    needs = {one.stage: one.process for one in forecast.stages}
    return [stage for stage, size in sizes.items() if size > 1 and needs[stage] > most]


def refuse_layers(known: Shapes, asked: int | None) -> None:
    """Raise UserError where more layers are asked for than there are."""
    if asked is not None and asked > known.layers:
        expected = f"1 to {known.layers}, by {known.origin}"
        hint = "leave LAYERS out for all of them"
        raise UserError(Problem("--layers", f"{asked}", expected, hint))


def refuse_small(forecast: Plan, machine: Machine, there: int) -> None:
    """Raise UserError with the figures where memory or disk will not do.

    `there` are the bytes that an earlier attempt has left on disk.
    """
    memory = _memory_needed(forecast, machine)
    disk = max(0, _disk_needed(forecast) - there)
    problems = []
    if memory > machine.memory:
        found = f"{machine.memory / 1e9:.1f} GB are free"
        hint = "end other programs, or rehearse with fewer layers (LAYERS=2)"
        problems.append(Problem("memory", found, f"{memory / 1e9:.1f} GB", hint))
    if disk > machine.disk:
        found = f"{machine.disk / 1e9:.1f} GB are free"
        elsewhere = "rehearse on another disk (RUNS=folder), or with fewer layers (LAYERS=2)"
        hint = f"free some space, {elsewhere}"
        problems.append(Problem("disk", found, f"{disk / 1e9:.1f} GB", hint))
    if problems:
        raise UserError(problems)


def _memory_needed(forecast: Plan, machine: Machine) -> int:
    """Bytes of the fullest process, and of this one beside it."""
    stages = (*forecast.peaks, *(one.stage for one in forecast.stages))
    return PROCESS["engines"] + max(forecast.peak(one, not machine.gpu) or 0 for one in stages)


def _disk_needed(forecast: Plan) -> int:
    """Bytes of all that is kept, and of what lies beside it at the fullest moment."""
    weights = forecast.shapes.parameters()
    kept = 2 * weights  # in bfloat16
    kept += sum(one.left for one in forecast.stages) + sum(forecast.exports.values())
    beside = max((one.disk - one.left for one in forecast.stages), default=0)
    return kept + beside + forecast.source
