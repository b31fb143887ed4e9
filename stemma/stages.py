"""The engine every stage runs in: is its work needed, and its manifest, which is written last.

A stage's module offers `run(work: Work) -> Result`. The engine locks the stage's folder, keeps what
a killed attempt at the same work left there, removes anything else, and writes the manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stemma.adoption import adopt
from stemma.chain import chain
from stemma.errors import Problem, UserError
from stemma.files import remove
from stemma.freshness import holds, of_another_axolotl, refuse_damaged_inputs
from stemma.jsonl import write_json
from stemma.keys import axolotl_version, inputs_of, key_with
from stemma.origin import git_commit, hardware, versions
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Manifest, Run, describe, write_manifest
from stemma.workplace import empty, locked, writable

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from stemma.generator.client import ModelServer
    from stemma.recipe.generator import Generator

BEGUN = ".begun.json"
"""The key of the work that lies in a stage's folder without a manifest yet."""

CHANGING = ("rag",)
"""Stages that make the new work of the old themselves: a database takes the vectors of what it
held."""

Say = Callable[[str], None]
Outcome = Literal["done", "up to date", "reused"]


@dataclass(frozen=True)
class Forecast:
    """The data stage before it runs: what it would cost, and the rows that would train."""

    spent: Mapping[str, float | None]
    """The generator's needs, by name (requests, tokens, dollars); None: not known."""
    rows: Mapping[str, Sequence[Any]]
    """The rows that are there already, by set."""
    generated: Mapping[str, int]
    """Rows that the generator is asked for beside these, by set."""
    test: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """The test rows that are there already, by set."""


@dataclass(frozen=True)
class Result:
    """A stage's hand-over: outputs as {name: path relative to its folder}, counts, and facts."""

    outputs: dict[str, str]
    counts: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """The input of a stage. `say` talks to the user, on stderr."""

    recipe: Recipe
    run: Run
    stage: str
    say: Say
    force: bool = False
    """Whether all is to be done anew, and nothing taken over that was found before."""

    @property
    def folder(self) -> Path:
        return self.run.folder(self.stage)

    def input(self, stage: str, name: str) -> Path:
        """The path of an upstream output, by its name in that stage's manifest."""
        return self.run.output(stage, name)


class StageModule(Protocol):
    """A module that does the work of one stage, or of several that differ by the recipe alone."""

    def run(self, work: Work, /) -> Result:
        """Do the work in `work.folder`. Raises UserError, StageFailed or GateFailed."""


def _data() -> StageModule:
    from data_builders import run

    return run


def _base() -> StageModule:
    from stemma.training import base

    return base


def _training() -> StageModule:
    from stemma.training import run

    return run


def _export() -> StageModule:
    from export import run

    return run


def _rag() -> StageModule:
    from rag import run

    return run


def _eval() -> StageModule:
    from eval import run

    return run


def _report() -> StageModule:
    from report import run

    return run


MODULES: dict[str, Callable[[], StageModule]] = {
    "data": _data,
    "base": _base,
    "sft": _training,
    "dpo": _training,
    "mcq": _training,
    "export": _export,
    "rag": _rag,
    "eval": _eval,
    "report": _report,
}
"""By stage, the function that imports its module: only a stage that runs loads its engines."""


def execute(recipe: Recipe, run: Run, stage: str, say: Say, force: bool = False) -> Outcome:
    """Bring one stage up to date. One that fails leaves no manifest, and raises UserError,
    StageFailed or GateFailed."""
    _refuse_unknown(recipe, stage)
    key = key_with(recipe, stage, inputs := _whole_inputs(recipe, run, stage))
    folder = run.folder(stage)
    if not force and holds(run, stage, key):  # before a lock is wanted: it may only be read
        return "up to date"
    with writable(folder), locked(folder):
        if not force:
            if holds(run, stage, key):
                return "up to date"
            _give_up_old(run, stage, key, say)
        (folder / MANIFEST).unlink(missing_ok=True)
        if not force and adopt(run, stage, key, recipe):
            return "reused"
        if force or stage not in CHANGING:
            prepare(folder, key, force)
        start = _now()
        result = MODULES[stage]().run(Work(recipe, run, stage, say, force))
        _refuse_changed(stage, inputs, _whole_inputs(recipe, run, stage))
        manifest = Manifest(
            stage=stage,
            recipe=recipe.name,
            key=key,
            section=recipe.section(stage),
            overrides=recipe.overrides,
            inputs=inputs,
            outputs={name: describe(folder, path) for name, path in result.outputs.items()},
            counts=result.counts,
            facts=result.facts,
            seed=recipe.seed,
            git_commit=git_commit(),
            versions=versions(),
            hardware=hardware(),
            start=start,
            end=_now(),
        )
        write_manifest(run, manifest)
        return "done"


def _whole_inputs(recipe: Recipe, run: Run, stage: str) -> dict[str, str]:
    """Digests of all a stage reads. Raises UserError where that is not as its stages wrote it."""
    refuse_damaged_inputs(recipe, run, stage)
    return inputs_of(recipe, run, stage)


def _refuse_changed(stage: str, before: dict[str, str], after: dict[str, str]) -> None:
    changed = sorted(name for name, _ in before.items() ^ after.items())
    if changed:
        found = f"changed while stage `{stage}` read it"
        hint = f"put it back and run `make {stage}` again: what is finished of it is kept"
        raise UserError(
            Problem(name, found, "the same content as at its start", hint)
            for name in dict.fromkeys(changed)
        )


def _give_up_old(run: Run, stage: str, key: str, say: Say) -> None:
    """Tell why what the stage once made is made anew, and remove what of it is damaged: the new
    work, which takes over what is there, may not take over that."""
    earlier = run.read_manifest(stage)
    if earlier is None:
        return
    if made := of_another_axolotl(run, stage):
        say(f"{stage}: {made}, anew with {axolotl_version()}")
    if earlier.key == key or stage in CHANGING:
        for problem in run.damage(stage):
            say(f"{problem.where}: {problem.found}; it is made anew")
            remove(Path(problem.where))


def _refuse_unknown(recipe: Recipe, stage: str) -> None:
    known = chain(recipe)
    if stage not in known:
        found = f"recipe `{recipe.name}` has no stage `{stage}`"
        raise UserError(Problem(recipe.path.name, found, f"one of {', '.join(known)}"))


def forecast(recipe: Recipe, run: Run, say: Say) -> Forecast:
    """Forecast what the data stage would spend and give.

    Raises UserError, e.g. where a file is missing.
    """
    from data_builders.run import forecast as forecast_data

    inputs_of(recipe, run, "data")
    return forecast_data(Work(recipe, run, "data", say))


def forecast_judging(recipe: Recipe, run: Run) -> list[dict[str, Any]]:
    """What each judge of the evaluation would be asked, and what that costs at most."""
    from eval.judge.forecast import forecast as forecast_judges

    return forecast_judges(recipe, run)


def forecast_passages(recipe: Recipe) -> tuple[list[str], int]:
    """The size of the database of passages, in lines and in bytes; none where the recipe has none.

    Raises UserError for a source that is not there.
    """
    from rag.forecast import forecast as forecast_database

    if recipe.rag is None:
        return [], 0
    found = forecast_database(recipe.rag, Path(recipe.data.root))
    return found.lines, found.bytes


def model_server(settings: Generator, seed: int) -> AbstractContextManager[ModelServer]:
    """The server that answers a generator's requests; the data stage has the scripted one.

    Raises UserError where a paid server's key is not set.
    """
    from data_builders.generated.model_server import open_server

    return open_server(settings, seed)


def server_identity(settings: Generator, seed: int) -> str | None:
    """The server's mark in the ledger's keys, as in the `ModelServer` that would be opened."""
    from data_builders.generated.model_server import identity_of

    return identity_of(settings, seed)


def prepare(folder: Path, key: str, force: bool) -> None:
    """Keep what a killed attempt at the same work left (checkpoints, caches); remove the rest."""
    begun = folder / BEGUN
    if force or not begun.is_file() or key.encode() not in begun.read_bytes():
        empty(folder)
        write_json(begun, {"key": key})


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
