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

from stemma.base_model.files import read_shapes
from stemma.base_model.folder import meet
from stemma.errors import Problem, StageFailed, UserError
from stemma.jsonl import read_dicts, read_json, write_json
from stemma.plan.forecast import Hardware, Plan, plan
from stemma.plan.peaks import PROCESS
from stemma.quiet import quieten
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.rehearsal import made_model
from stemma.rehearsal.changes import Changes, Machine, lacking, shorten
from stemma.rehearsal.text import Measured, lines, written
from stemma.runs import MANIFEST, Run
from stemma.shapes import Shapes
from stemma.stages import BEGUN, TRAINED, chain, execute, locked, writable
from stemma.training.precision import cpu_has_bfloat16
from stemma.usage import folder_bytes, free_memory, measuring

Say = Callable[[str], None]

FOLDER = "rehearsals"
"""Beside the real runs: nothing of a rehearsal is ever taken for a run's."""
MEASURED = "rehearsal.json"
QUESTION = "What is 12 + 7?"
PIECES = 16
"""Of the answer: random weights have no end to their talk."""
MOST_BYTES = 20_000_000_000
"""Batches are halved until a stage's forecast is below this, also where there is more memory."""


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
    machine = look(request.runs)
    settled, asked = settle(request, machine), asked_of(machine)
    full_plan = plan(settled.full, _real_run(request), asked)
    for note in settled.changes.notes:
        say(f"[rehearse] {note}")
    figures: dict[str, Measured] = {}

    def table() -> str:
        here = plan(settled.recipe, settled.run, asked)
        title = f"rehearsal of {settled.full.name}: {here.shapes.parameters():,} of "
        title += f"{full_plan.shapes.parameters():,} parameters"
        notes = {"not as in the full run": settled.changes.notes, "what it needs and is not here": settled.lacking}
        return written(title, lines(figures, here, full_plan), notes, here)

    with writable(settled.run.root), locked(settled.run.root):  # two would unmake each other's model
        for stage in ("model", *chain(settled.recipe), "chat"):
            try:
                _run(settled, stage, figures, say)
            except (StageFailed, UserError) as error:
                so_far = table() if figures else ""
                raise StageFailed(f"the rehearsal stopped at `{stage}`: {error}\n\n{so_far}") from error
            except Exception:
                say(f"the rehearsal stopped at `{stage}`\n\n{table()}")  # a bug of ours keeps its traceback
                raise
    return table()


def look(runs: Path) -> Machine:
    """This machine."""
    import torch

    runs.mkdir(parents=True, exist_ok=True)
    return Machine(free_memory(), shutil.disk_usage(runs).free, cpu_has_bfloat16(), torch.cuda.is_available())


def asked_of(machine: Machine) -> Hardware:
    """What `plan` is to forecast of it."""
    return Hardware(cpu=not machine.gpu, bfloat16=machine.bfloat16)


def settle(request: Request, machine: Machine) -> Settled:
    """Recipe and model of the rehearsal. Raises UserError when the machine is too small for it."""
    full, real = load(request.name, request.overrides), _real_run(request)
    has_weights = made_model.has_weights(full, real)
    meet(full, real, chain(full) if has_weights else [])
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
    return Settled(full, recipe, run, config, changes, lacking(full, os.environ, has_weights))


def _real_run(request: Request) -> Run:
    return Run(request.runs / Path(request.name).stem)


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


def _shrink_batches(changes: Changes, planned: Callable[[], Plan], full: Recipe, machine: Machine) -> None:
    """Halve the micro-batches of stages that would not fit, until they do or are of one row."""
    most = min(MOST_BYTES, machine.memory) - PROCESS["engines"]
    sizes = {stage: full.axolotl(stage).get("micro_batch_size", 1) for stage in full.training_stages()}
    before = dict(sizes)
    while wide := _wide(planned(), most, sizes):
        for stage in wide:
            sizes[stage] //= 2
            changes.set(f"{stage}.micro_batch_size", sizes[stage])
    for stage, size in sizes.items():
        if size != before[stage]:
            changes.notes.append(f"{stage}: micro_batch_size {before[stage]} → {size}, to fit into memory")


def _wide(forecast: Plan, most: int, sizes: dict[str, int]) -> list[str]:
    """The stages that need more, and have a batch to halve."""
    needs = {one.stage: one.process for one in forecast.stages}
    return [stage for stage, size in sizes.items() if size > 1 and needs[stage] > most]


def refuse_layers(known: Shapes, asked: int | None) -> None:
    """Raise UserError where more layers are asked for than there are."""
    if asked is not None and asked > known.layers:
        hint = "leave LAYERS out for all of them"
        found = Problem("--layers", f"{asked}", f"1 to {known.layers}, by {known.origin}", hint)
        raise UserError(found)


def refuse_small(forecast: Plan, machine: Machine, there: int) -> None:
    """Raise UserError with the figures where memory or disk will not do. `there`: what an earlier attempt has left."""
    weights = forecast.shapes.parameters()
    stages = (*forecast.peaks, *(one.stage for one in forecast.stages))
    need = PROCESS["engines"] + max(forecast.peak(stage, not machine.gpu) or 0 for stage in stages)
    beside = max((one.disk - one.left for one in forecast.stages), default=0)
    kept = 2 * weights + sum(one.left for one in forecast.stages) + sum(forecast.exports.values())
    disk = max(0, kept + beside + forecast.source - there)
    problems = []
    if need > machine.memory:
        hint = "end other programs, or rehearse with fewer layers (LAYERS=2)"
        expected = f"{need / 1e9:.1f} GB"
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
    try:
        with measuring(folder.with_name(".model.part") if stage == "model" else folder) as usage:
            outcome = _do(settled, stage, lambda text: say(f"[{stage}] {text}"))
    finally:  # behind the measuring, which tells the seconds at its end
        found = Measured(usage.seconds, usage.memory, usage.process, usage.disk, resumed=resumed)
        figures[stage] = found
    found = replace(found, stepping=stepping_seconds(settled.run, stage))
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
    outcome = made_model.make(settled.config, settled.full, settled.recipe, settled.run, say)
    meet(settled.recipe, settled.run, chain(settled.recipe))
    return outcome


def _chat(settled: Settled, say: Say) -> str:
    from serve.chat import Chat, open_shipped

    with open_shipped(settled.recipe, settled.run) as llama:
        answer = "".join(islice(Chat(llama).answer(QUESTION), PIECES))
    # That the file predicts as it should, evaluation has tested; after a few steps random weights may say nothing.
    say(f"{QUESTION} {answer!r}" if answer else f"{QUESTION} — the model ended its answer at once")
    return "done"


def stepping_seconds(run: Run, stage: str) -> float:
    """The seconds a training spent on its steps, by the trainer's own clock, without its evaluations."""
    path = run.folder(stage) / "history.jsonl"
    if stage not in TRAINED or not path.is_file():
        return 0.0
    rows = read_dicts(path)
    seconds = max((float(row["train_runtime"]) for row in rows if "train_runtime" in row), default=0.0)
    return max(0.0, seconds - sum(float(row["eval_runtime"]) for row in rows if "eval_runtime" in row))
