"""The engine every stage runs in: what it depends on, whether it is up to date, and its manifest, written last.

A stage package offers `run(work: Work) -> Result` in its `run.py`. This module decides whether that call is needed,
keeps the folder of a killed attempt only when the same work is asked for again, and writes the manifest.
"""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from stemma import ROOT
from stemma.errors import Problem, UserError
from stemma.jsonl import write_json
from stemma.keys import axolotl_version, inputs_of, key_of, key_with
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Manifest, Run, describe, size_of

MODULES = {
    "data": "data_builders.run",
    "base": "stemma.training.base",
    "sft": "stemma.training.run",
    "dpo": "stemma.training.run",
    "mcq": "stemma.training.run",
    "export": "export.run",
    "eval": "eval.run",
    "report": "report.run",
}
STAGES = tuple(MODULES)
TRAINED = ("base", "sft", "dpo", "mcq")
BEGUN = ".begun.json"
"""Whose work lies in a stage's folder that has no manifest yet: its key."""
ENGINES = (
    "axolotl",
    "torch",
    "transformers",
    "peft",
    "trl",
    "deepspeed",
    "bitsandbytes",
    "datasets",
    "llama-cpp-python",
)

UNWRITABLE = (
    *(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)),
    "file write failed",
)
"""How they say it: safetensors and torch raise errors of their own, and of a child only the end of its log comes."""


@dataclass(frozen=True)
class Forecast:
    """The data stage before it runs: what it would spend on the generator, by name (None: not known); and the rows
    that would train, by set: those that there are, and how many more the generator is asked for."""

    spent: Mapping[str, float | None]
    rows: Mapping[str, Sequence[Any]]
    generated: Mapping[str, int]


Outcome = Literal["done", "up to date", "reused"]


@dataclass(frozen=True)
class Result:
    """What a stage hands back: outputs as {name: path relative to its folder}, counts, and facts for the manifest."""

    outputs: dict[str, str]
    counts: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a stage is given: the recipe, the run, its own name and folder, and where to talk (stderr). `force`: nothing
    that was found before is to be taken over."""

    recipe: Recipe
    run: Run
    stage: str
    say: Callable[[str], None]
    force: bool = False

    @property
    def folder(self) -> Path:
        return self.run.folder(self.stage)

    def input(self, stage: str, name: str) -> Path:
        """An upstream output's path, by the names in that stage's manifest."""
        return self.run.output(stage, name)


def chain(recipe: Recipe) -> list[str]:
    """Every stage this recipe has, in the order it runs."""
    if recipe.is_data_only:
        return ["data"]
    absent = {"sft", "dpo", "mcq", "base"} - set(recipe.training_stages()) - ({"base"} if recipe.base else set())
    return [stage for stage in STAGES if stage not in absent]


def execute(recipe: Recipe, run: Run, stage: str, say: Callable[[str], None], force: bool = False) -> Outcome:
    """Bring one stage up to date. Raises UserError, StageFailed or GateFailed; a failed stage leaves no manifest."""
    if stage not in chain(recipe):
        raise UserError(
            Problem(
                recipe.path.name, f"recipe `{recipe.name}` has no stage `{stage}`", f"one of {', '.join(chain(recipe))}"
            )
        )
    inputs = inputs_of(recipe, run, stage)
    key = key_with(recipe, stage, inputs)
    folder = run.folder(stage)
    with writable(folder), locked(folder):
        if not force and has(run, stage, key):
            return "up to date"
        if made := of_another_axolotl(run, stage):
            say(f"{stage}: {made}, anew with {axolotl_version()}")
        (folder / MANIFEST).unlink(missing_ok=True)
        if not force and _adopt(run, stage, key, recipe):
            return "reused"
        prepare(folder, key, force)
        start = _now()
        result = importlib.import_module(MODULES[stage]).run(Work(recipe, run, stage, say, force))
        manifest = Manifest(
            stage=stage, recipe=recipe.name, key=key, section=recipe.section(stage),
            overrides=recipe.overrides, inputs=inputs,
            outputs={name: describe(folder, path) for name, path in result.outputs.items()},
            counts=result.counts, facts=result.facts, seed=recipe.seed, git_commit=_git_commit(),
            versions=_versions(), hardware=_hardware(), start=start, end=_now(),
        )  # fmt: skip
        write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
        return "done"


def forecast(recipe: Recipe, run: Run, say: Callable[[str], None]) -> Forecast:
    """What the data stage would spend and give. Raises UserError, e.g. where a file is missing."""
    inputs_of(recipe, run, "data")
    found: Forecast = importlib.import_module(MODULES["data"]).forecast(Work(recipe, run, "data", say))
    return found


def is_fresh(recipe: Recipe, run: Run, stage: str) -> bool:
    """Whether the stage is done and nothing it depends on has changed. Raises UserError if an input is missing."""
    return has(run, stage, key_of(recipe, run, stage))


def has(run: Run, stage: str, key: str) -> bool:
    """Whether the run holds this very work of the stage, finished."""
    manifest = run.read_manifest(stage)
    if manifest is None or manifest.key != key:
        return False
    folder = run.folder(stage)
    # Sizes, not digests: re-hashing gigabytes on every call is what `stemma verify` is for.
    return all((folder / o.path).exists() and size_of(folder / o.path) == o.bytes for o in manifest.outputs.values())


def _adopt(run: Run, stage: str, key: str, recipe: Recipe) -> bool:
    """Take over another recipe's identical stage (tiny-base-dpo shares tiny's data and base)."""
    for other in sorted(run.root.parent.glob(f"*/{stage}/{MANIFEST}")):
        donor = Run(other.parent.parent)
        if donor.root == run.root or not _is_donor(donor, stage, key):
            continue
        folder = run.folder(stage)
        empty(folder)
        shutil.copytree(donor.folder(stage), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MANIFEST, ".*"))
        manifest = donor.manifest(stage).model_copy(update={"recipe": recipe.name, "reused_from": donor.root.name})
        write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
        return True
    return False


def _is_donor(run: Run, stage: str, key: str) -> bool:
    try:
        return has(run, stage, key)
    except UserError:  # its manifest is damaged: that run's trouble, not ours
        return False


def prepare(folder: Path, key: str, force: bool) -> None:
    """Keep what a killed attempt at the same work left (checkpoints, caches); throw away anything else."""
    begun = folder / BEGUN
    if force or not begun.is_file() or key.encode() not in begun.read_bytes():
        empty(folder)
        write_json(begun, {"key": key})


def empty(folder: Path) -> None:
    """Remove all but the lock."""
    for entry in folder.iterdir():
        if entry.name == ".lock":
            continue
        shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


@contextmanager
def writable(folder: Path) -> Iterator[None]:
    """The folder, made. Whoever cannot write, Python or an engine: one clear error."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error, str(error.strerror)) from None
    try:
        yield
    except Exception as error:
        if (reason := why_unwritable(error)) is None:
            raise
        raise _cannot_write(folder, error, reason) from None


def why_unwritable(error: Exception) -> str | None:
    """What the file system refused, whoever tells of it; None for any other error."""
    if isinstance(error, UserError):
        return None
    return next((text for text in UNWRITABLE if text in str(error)), None)


def _cannot_write(folder: Path, error: Exception, reason: str) -> UserError:
    where = error.filename if isinstance(error, OSError) and error.filename else folder
    expected, hint = "a writable folder with free space", "free some space, or pass --runs FOLDER"
    return UserError(Problem(str(where), f"cannot write: {reason}", expected, hint))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody else works there meanwhile. Raises UserError when somebody does."""
    with (folder / ".lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                Problem(str(folder), "another process is working here", hint="wait for it, or end it")
            ) from None
        yield


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def of_another_axolotl(run: Run, stage: str) -> str | None:
    """What to tell of trained weights that are not taken for this stack's; None of all others."""
    manifest = run.read_manifest(stage) if stage in TRAINED else None
    made = manifest.versions.get("axolotl") if manifest else None
    return f"made with axolotl {made}" if made not in (None, axolotl_version()) else None


def _git_commit() -> str:
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ENGINES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _hardware() -> dict[str, str | int]:
    return {"machine": platform.machine(), "system": platform.system(), "cores": os.cpu_count() or 0}
