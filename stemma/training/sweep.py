"""Hyperparameter search: each combination of the recipe's `sweep` values trains in its own folder.

A trial is one Axolotl run with the stage's checks around it, without merging. Finished trials are
kept by the digest of all they depend on, so that a killed sweep, or one with more values, trains
only what is missing. The combinations are made by Axolotl's own generator; its `--sweep` flag is
not used, for reasons in docs/engine-notes.md.
"""

from __future__ import annotations

import contextlib
import io
import runpy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stemma.digests import digest_json
from stemma.errors import Problem, StageFailed, UserError
from stemma.files import write_text
from stemma.jsonl import read_dicts, read_json, write_json
from stemma.keys import key_of
from stemma.markdown import one_line, table
from stemma.progress import of_stage
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.recipe.sections import Sweep
from stemma.runs import Run
from stemma.stages import Work, prepare
from stemma.training.handover import trim, write_history
from stemma.training.run import train_adapter
from stemma.training.sweep_results import RESULTS, Results, Trial, ranked
from stemma.workplace import locked, writable

DONE = "trial.json"
EXAMPLE = "sweep: {stage: dpo, values: {learning_rate: [1e-4, 5e-4]}, metric: eval_loss, goal: min}"


@dataclass(frozen=True)
class TrialWork(Work):
    """A stage's work that lies in the trial's folder."""

    place: Path = Path()

    @property
    def folder(self) -> Path:
        return self.place


def search(recipe: Recipe, run: Run, say: Callable[[str], None], force: bool = False) -> Results:
    """Train every trial without a result and write sweep.json and sweep.md.

    Raises StageFailed if none succeeds.
    """
    sweep = recipe.sweep
    if sweep is None:
        found = f"recipe `{recipe.name}` has no `sweep` section"
        raise UserError(Problem(recipe.path.name, found, f"e.g. {EXAMPLE}"))
    folder = run.folder("sweep") / sweep.stage
    planned = _plan(recipe, sweep)
    with writable(folder), locked(folder):
        trials = []
        for number, (trial, changed) in enumerate(planned, start=1):
            settings = " ".join(trial.sets(sweep.stage))
            say(f"{trial.name} ({number} of {len(planned)}): {settings}")
            work = TrialWork(changed, run, sweep.stage, say, force, folder / trial.name)
            with of_stage(f"{sweep.stage} {number} of {len(planned)}"):
                trials.append(_finish(trial, work, sweep))
        results = Results(sweep.stage, sweep.metric, sweep.goal, ranked(trials, sweep.goal))
        _write(results, folder)
    if results.best is None:
        reasons = "; ".join(trial.failed for trial in trials)
        raise StageFailed(f"no trial has a {sweep.metric}: {reasons}")
    return results


def _plan(recipe: Recipe, sweep: Sweep) -> list[tuple[Trial, Recipe]]:
    """Every trial with its recipe.

    All are checked before one trains: UserError with the problems of each that is wrong.
    """
    planned = []
    problems: list[Problem] = []
    for values in permutations(sweep.values):
        trial = Trial(f"trial-{digest_json(values)[:8]}", values)
        try:
            changed = load(recipe.path, [*recipe.overrides, *trial.sets(sweep.stage)])
        except UserError as error:
            problems += error.problems
        else:
            planned.append((trial, changed))
    if problems:
        raise UserError(dict.fromkeys(problems))
    return planned


def _write(results: Results, folder: Path) -> None:
    write_json(folder / RESULTS, asdict(results) | {"take": results.take()})
    # Four blanks: a command to copy, as it is typed.
    lines = [*table(results.heads(), results.rows()), "", f"    {one_line(results.take())}", ""]
    write_text(folder / "sweep.md", "\n".join(lines))


def permutations(values: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """All combinations of the values, by Axolotl's own generator.

    Its file is plain Python, and run alone: to import Axolotl takes seconds.
    """
    spec = find_spec("axolotl")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "cli" / "utils" / "sweeps.py"
    with contextlib.redirect_stdout(io.StringIO()):  # it prints each combination
        generate = runpy.run_path(str(path))["generate_sweep_configs"]
        found: list[dict[str, Any]] = generate({}, values)
    return found


def _finish(trial: Trial, work: TrialWork, sweep: Sweep) -> Trial:
    """The trial with its result.

    A failure is a result of this search, and is tried again by the next.
    """
    key = key_of(work.recipe, work.run, work.stage)
    done = work.folder / DONE
    if work.force or not done.is_file() or read_json(done)["key"] != key:
        work.folder.mkdir(parents=True, exist_ok=True)
        prepare(work.folder, key, work.force)
        try:
            trained = train_adapter(work)
        except StageFailed as error:
            return Trial(trial.name, trial.values, failed=str(error).splitlines()[0])
        write_history(work, trained.marker)
        trim(trained.config)
        write_json(done, {"key": key, "values": trial.values})
    history = read_dicts(work.folder / "history.jsonl")
    logged = [row for row in history if sweep.metric in row]
    if not logged:
        failed = f"its log has no {sweep.metric} (no validation rows?)"
        return Trial(trial.name, trial.values, failed=failed)
    last = logged[-1]
    return Trial(trial.name, trial.values, float(last[sweep.metric]), int(last["step"]))
