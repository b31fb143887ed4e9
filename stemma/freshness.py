"""Whether a stage is up to date: decided by the content of all it depends on, not by dates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stemma.chain import TRAINED, chain, upstream
from stemma.changes import changed_inputs, changed_settings, listed
from stemma.errors import Problem, UserError
from stemma.keys import axolotl_version, inputs_of, key_of, key_with
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run

CHANGED = "its settings or inputs changed"
"""Where neither of them shows it: what an earlier Stemma made of the same."""


@dataclass(frozen=True)
class State:
    """The state of a stage, and why it would run again."""

    status: Literal["up to date", "not done", "stale"]
    reason: str = ""
    """Of a stale stage."""
    waits_for: tuple[str, ...] = ()
    """The upstream stages that are not up to date: the cause lies there, not in this stage."""

    @property
    def is_fresh(self) -> bool:
        return self.status == "up to date"

    @property
    def is_stale(self) -> bool:
        return self.status == "stale"

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else self.status


def states(recipe: Recipe, run: Run) -> dict[str, State]:
    """The state of every stage of the recipe, in the order of the chain."""
    found: dict[str, State] = {}
    for stage in chain(recipe):
        found[stage] = _state(recipe, run, stage, found)
    return found


def _state(recipe: Recipe, run: Run, stage: str, known: dict[str, State]) -> State:
    if not (run.folder(stage) / MANIFEST).is_file():
        return State("not done")
    late = tuple(name for name in upstream(recipe, stage) if not known[name].is_fresh)
    reasons = [f"waits for {', '.join(late)}"] if late else []
    try:
        reasons += _changes(recipe, run, stage, bool(late))
        reasons += [_in_words(run, problem) for problem in run.damage(stage)]
    except UserError as error:
        reasons.append(error.problems[0].found)
    return State("stale", "; ".join(reasons), late) if reasons else State("up to date")


def _changes(recipe: Recipe, run: Run, stage: str, is_late: bool) -> list[str]:
    """What the stage depends on and is not as it was, in words.

    Of a stage whose upstream is late its settings alone: its inputs are not known yet.
    """
    manifest = run.manifest(stage)
    settings = changed_settings(recipe, stage, manifest.section)
    if is_late:
        return [listed(settings)] if settings else []
    inputs = inputs_of(recipe, run, stage)
    if manifest.key == key_with(recipe, stage, inputs):
        return []
    made = of_another_axolotl(run, stage)
    found = [*([made] if made else []), *settings, *changed_inputs(manifest.inputs, inputs)]
    return [listed(found) or CHANGED]


def _in_words(run: Run, damage: Problem) -> str:
    place = Path(damage.where)
    how = f"is damaged ({damage.found})" if place.exists() else "is gone"
    return f"{place.relative_to(run.root)} {how}"


def refuse_damaged_inputs(recipe: Recipe, run: Run, stage: str) -> None:
    """Raises UserError with every output of the stages before that is not as it was written.

    One that is gone is told by who asks for it: it cannot be taken for anything else.
    """
    found = [problem for name in upstream(recipe, stage) for problem in run.damage(name)]
    if damaged := [problem for problem in found if Path(problem.where).exists()]:
        raise UserError(damaged)


def is_fresh(recipe: Recipe, run: Run, stage: str) -> bool:
    """Whether the stage is done and nothing it depends on has changed.

    Raises UserError if an input is missing.
    """
    return holds(run, stage, key_of(recipe, run, stage))


def holds(run: Run, stage: str, key: str) -> bool:
    """Whether the run holds the finished work of this key.

    Content is compared, by sha256; gigabytes are not read again while their files' times stand.
    """
    manifest = run.read_manifest(stage)
    return manifest is not None and manifest.key == key and not run.damage(stage)


def of_another_axolotl(run: Run, stage: str) -> str | None:
    """A remark on weights that another version of Axolotl trained; None of all others."""
    manifest = run.read_manifest(stage) if stage in TRAINED else None
    made = manifest.versions.get("axolotl") if manifest else None
    return f"made with axolotl {made}" if made not in (None, axolotl_version()) else None
