"""A rehearsal: the recipe's whole chain, really run, small, on random weights of the model's true shapes.

It finds what would stop a night's run, and says what each stage took here and what the full run would take. It needs
no GPU and nothing from outside. Killed, it goes on where it stopped: stages as ever, the made model appears whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from stemma import axolotl, made_model
from stemma.costs import memory
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import read_dicts, read_json, write_json
from stemma.load import load
from stemma.plan import Asked, Plan, plan, read_training
from stemma.precision import cpu_has_bfloat16
from stemma.quiet import quieten
from stemma.recipe import Recipe
from stemma.rehearsal import Changes, Machine, halve_batches, lacking, shorten
from stemma.rehearsal_text import Measured, lines, written
from stemma.runs import MANIFEST, Run
from stemma.stages import BEGUN, TRAINED, chain, execute
from stemma.usage import folder_bytes, free_memory, measuring

Say = Callable[[str], None]

FOLDER = "rehearsals"
"""Beside the real runs: nothing of a rehearsal is ever taken for a run's."""
MEASURED = "rehearsal.json"
QUESTION = "What is 12 + 7?"
PIECES = 16
"""Of the answer: random weights have no end to their talk."""
ENGINES_BYTES = 2_500_000_000
"""What the engines take before they hold a model: torch, transformers and Axolotl in two processes."""
MOST_BYTES = 18_000_000_000
"""Of one stage's forecast; batches are halved until it is below."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    name: str
    overrides: Sequence[str]
    runs: Path
    layers: int | None = None


@dataclass(frozen=True)
class Settled:
    """All that is known before anything runs. `recipe` is the shortened one, which runs; `full` the user's."""

    full: Recipe
    recipe: Recipe
    run: Run
    config: Any
    """transformers' config of the model to be made; None where the recipe makes its own."""
    changes: Changes
    lacking: list[str]

    @property
    def model(self) -> Path:
        return self.run.root / "model"


def rehearse(request: Request, say: Say) -> str:
    """Run the whole chain small; returns the table. Raises StageFailed with the table so far, or UserError before
    anything has run."""
    quieten()
    settled = settle(request, look(request.runs))
    full_plan = plan(settled.full, Run(request.runs / settled.full.name), Asked())
    for note in settled.changes.notes:
        say(f"[rehearse] {note}")
    figures: dict[str, Measured] = {}

    def table() -> str:
        here = plan(settled.recipe, settled.run, Asked())
        title = f"rehearsal of {settled.full.name}: {here.shapes.parameters():,} of "
        title += f"{full_plan.shapes.parameters():,} parameters"
        notes = {"not as in the full run": settled.changes.notes, "what it needs and is not here": settled.lacking}
        return written(title, lines(figures, here, full_plan), notes, here)

    for stage in ("model", *chain(settled.recipe), "chat"):
        try:
            _run(settled, stage, figures, say)
        except (StageFailed, UserError) as error:
            so_far = table() if figures else ""
            raise StageFailed(f"the rehearsal stopped at `{stage}`: {error}\n\n{so_far}") from error
    return table()


def look(runs: Path) -> Machine:
    """This machine."""
    import torch

    runs.mkdir(parents=True, exist_ok=True)
    return Machine(free_memory(), shutil.disk_usage(runs).free, cpu_has_bfloat16(), torch.cuda.is_available())


def settle(request: Request, machine: Machine) -> Settled:
    """Recipe and model of the rehearsal. Raises UserError when the machine is too small for it."""
    full = load(request.name, request.overrides)
    run = Run(request.runs / FOLDER / full.name)
    model = None if full.base else run.root / "model"
    config = made_model.config_of(full, Run(request.runs / full.name), request.layers) if model else None
    changes = shorten(full, machine, model, request.layers)
    recipe = load(request.name, [*changes.overrides, *request.overrides])
    with _readable(config, run) as known:
        for stage, size in _batches(recipe.model_copy(update=known), run, machine).items():
            changes.set(f"{stage}.micro_batch_size", size)
            changes.notes.append(f"{stage}: micro_batch_size {size}, so that it fits into memory")
        recipe = load(request.name, [*changes.overrides, *request.overrides])
        there = folder_bytes(run.root)
        refuse_small(plan(recipe.model_copy(update=known), run, Asked()), machine, there, recipe.export.gguf.types)
    has_weights = made_model.has_weights(full, Run(request.runs / full.name))
    return Settled(full, recipe, run, config, changes, lacking(full, os.environ, has_weights))


@contextmanager
def _readable(config: Any, run: Run) -> Iterator[dict[str, str]]:
    """The config.json of a model that is not made yet, where `plan` reads a model's shapes."""
    if config is None:
        yield {}
        return
    folder = run.root / ".config"
    config.save_pretrained(folder)
    try:
        yield {"base_model": str(folder)}
    finally:
        shutil.rmtree(folder)


def _batches(recipe: Recipe, run: Run, machine: Machine) -> dict[str, int]:
    """The micro-batches that must shrink so that a stage's forecast fits."""
    shapes = plan(recipe, run, Asked()).shapes
    sizes, needs = {}, {}
    for stage in recipe.training_stages():
        keys = axolotl.DEFAULTS | recipe.axolotl(stage)
        training = read_training(recipe, stage, keys, (shapes, 1))
        sizes[stage] = size = keys.get("micro_batch_size", 1)
        smaller = [max(1, size >> n) * training.sequences // size for n in range(size.bit_length())]
        needs[stage] = [memory(replace(training, sequences=count)).total for count in smaller]
    most = min(MOST_BYTES, machine.memory) - ENGINES_BYTES
    return {stage: size for stage, size in halve_batches(sizes, needs, most).items() if size != sizes[stage]}


def refuse_small(forecast: Plan, machine: Machine, there: int, types: Sequence[str]) -> None:
    """Raise UserError with the figures where memory or disk will not do. `there`: what an earlier attempt has left."""
    weights = forecast.shapes.parameters()
    need = max(4 * weights, *(stage.memory.total for stage in forecast.stages)) + ENGINES_BYTES
    source = 0 if {"F32", "F16", "BF16"} & set(types) else 2 * weights  # quantised files are made from one
    beside = max(stage.disk - stage.left for stage in forecast.stages)
    kept = 2 * weights + sum(stage.left for stage in forecast.stages) + sum(forecast.exports.values())
    disk = max(0, kept + beside + source - there)
    problems = []
    if need > machine.memory:
        expected = f"{need / 1e9:.1f} GB"
        hint = "end other programs, or rehearse with fewer layers (LAYERS=2)"
        problems.append(Problem("memory", f"{machine.memory / 1e9:.1f} GB are free", expected, hint))
    if disk > machine.disk:
        hint = "free some space, rehearse on another disk (RUNS=folder), or with fewer layers (LAYERS=2)"
        problems.append(Problem("disk", f"{machine.disk / 1e9:.1f} GB are free", f"{disk / 1e9:.1f} GB", hint))
    if problems:
        raise UserError(problems)


def _run(settled: Settled, stage: str, figures: dict[str, Measured], say: Say) -> None:
    """Bring one step of the rehearsal about, and note what it took."""
    folder = settled.model if stage == "model" else settled.run.folder(stage)
    resumed = (folder / BEGUN).is_file() and not (folder / MANIFEST).is_file()
    known = _known(settled.run)
    with measuring(folder.with_name(".model.part") if stage == "model" else folder) as usage:
        try:
            outcome = _do(settled, stage, lambda text: say(f"[{stage}] {text}"))
        finally:
            figures[stage] = Measured(usage.seconds, usage.memory, usage.disk, resumed=resumed)
    found = Measured(usage.seconds, usage.memory, usage.disk, _stepping(settled.run, stage), resumed)
    figures[stage] = known[stage] if outcome == "up to date" and stage in known else found
    write_json(settled.run.root / MEASURED, {name: asdict(value) for name, value in (known | figures).items()})
    say(f"[{stage}] {outcome} in {usage.seconds:.0f} s, {usage.memory / 1e9:.1f} GB of memory")


def _known(run: Run) -> dict[str, Measured]:
    """What earlier attempts have measured."""
    path = run.root / MEASURED
    return {name: Measured(**value) for name, value in read_json(path).items()} if path.is_file() else {}


def _do(settled: Settled, stage: str, say: Say) -> str:
    if stage == "model":
        return _make_model(settled, say)
    if stage == "chat":
        return _chat(settled, say)
    return execute(settled.recipe, settled.run, stage, say)


def _make_model(settled: Settled, say: Say) -> str:
    if settled.config is None:
        return "made by the recipe itself"
    return made_model.make(settled.config, settled.full, settled.recipe, settled.run, say)


def _chat(settled: Settled, say: Say) -> str:
    from serve.chat import Chat, open_shipped

    with open_shipped(settled.recipe, settled.run) as llama:
        answer = "".join(islice(Chat(llama).answer(QUESTION), PIECES))
    say(f"{QUESTION} {answer!r}")
    if not answer:
        raise StageFailed(f"the shipped model gave an empty answer to {QUESTION!r}")
    return "done"


def _stepping(run: Run, stage: str) -> float:
    """The seconds a training spent on its steps, by the trainer's own clock."""
    path = run.folder(stage) / "history.jsonl"
    if stage not in TRAINED or not path.is_file():
        return 0.0
    return max((float(row["train_runtime"]) for row in read_dicts(path) if "train_runtime" in row), default=0.0)
