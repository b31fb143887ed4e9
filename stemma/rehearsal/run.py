"""A rehearsal: the recipe's whole chain, really run, small, on random weights of true shapes.

It finds what would stop a night's run, and says what each stage took here and what the full run
would take. It needs no GPU and nothing from outside. Killed, it resumes where it stopped: stages as
ever, and the made model appears whole.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from itertools import islice

from stemma.base_model.folder import check_base_model
from stemma.chain import TRAINED, chain
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json, write_json
from stemma.plan.forecast import plan
from stemma.quiet import quieten
from stemma.rehearsal import made_model
from stemma.rehearsal.fitting import Rehearsal, Request, asked_of, fit, real_run, this_machine
from stemma.rehearsal.text import Measured, lines, written
from stemma.runs import MANIFEST, Run
from stemma.stages import BEGUN, Say, execute
from stemma.usage import measuring
from stemma.workplace import locked, writable

MEASURED = "rehearsal.json"
QUESTION = "What is 12 + 7?"
PIECES = 16
"""Tokens of the answer: random weights have no end to their talk."""


def rehearse(request: Request, say: Say) -> str:
    """Run the whole chain small; returns the table.

    Raises StageFailed with the table so far, or UserError before anything has run.
    """
    quieten()
    machine = this_machine(request.runs)
    asked = asked_of(machine)
    rehearsal = fit(request, machine)
    full_plan = plan(rehearsal.full, real_run(request), asked)
    for note in rehearsal.changes.notes:
        say(f"[rehearse] {note}")
    figures: dict[str, Measured] = {}

    def table() -> str:
        here = plan(rehearsal.recipe, rehearsal.run, asked)
        weights = f"{here.shapes.parameters():,} of {full_plan.shapes.parameters():,} parameters"
        title = f"rehearsal of {rehearsal.full.name}: {weights}"
        notes = {
            "not as in the full run": rehearsal.changes.notes,
            "what it needs and is not here": rehearsal.lacking,
        }
        return written(title, lines(figures, here, full_plan), notes, here)

    # Locked as a whole: two rehearsals would unmake each other's model.
    with writable(rehearsal.run.root), locked(rehearsal.run.root):
        for stage in ("model", *chain(rehearsal.recipe), "chat"):
            try:
                _run(rehearsal, stage, figures, say)
            except (StageFailed, UserError) as error:
                so_far = table() if figures else ""
                told = f"the rehearsal stopped at `{stage}`: {error}\n\n{so_far}"
                raise StageFailed(told) from error
            except Exception:
                say(f"the rehearsal stopped at `{stage}`\n\n{table()}")
                raise  # a bug of ours keeps its traceback
    return table()


def _run(rehearsal: Rehearsal, stage: str, figures: dict[str, Measured], say: Say) -> None:
    """Do one step of the rehearsal, and note what it took."""
    run = rehearsal.run
    is_model = stage == "model"
    folder = rehearsal.model if is_model else run.folder(stage)
    resumed = (folder / BEGUN).is_file() and not (folder / MANIFEST).is_file()
    known = _known(run)
    watched = folder.with_name(".model.part") if is_model else folder
    try:
        with measuring(watched) as usage:
            outcome = _do(rehearsal, stage, lambda text: say(f"[{stage}] {text}"))
    finally:
        # Not inside the measuring, which tells the seconds at its end; of a failed step, too.
        found = Measured(usage.seconds, usage.memory, usage.process, usage.disk, resumed=resumed)
        figures[stage] = found
    found = replace(found, stepping=stepping_seconds(run, stage))
    figures[stage] = known[stage] if outcome == "up to date" and stage in known else found
    measured = {name: asdict(value) for name, value in (known | figures).items()}
    write_json(run.root / MEASURED, measured)
    say(f"[{stage}] {outcome} in {usage.seconds:.0f} s, {usage.memory / 1e9:.1f} GB of memory")


def _known(run: Run) -> dict[str, Measured]:
    """What earlier attempts have measured, by step."""
    path = run.root / MEASURED
    if not path.is_file():
        return {}
    return {name: Measured(**value) for name, value in read_json(path).items()}


def _do(rehearsal: Rehearsal, stage: str, say: Say) -> str:
    """Do the step; returns its outcome in words."""
    if stage == "model":
        return _make_model(rehearsal, say)
    if stage == "chat":
        return _chat(rehearsal, say)
    return execute(rehearsal.recipe, rehearsal.run, stage, _unwarned(say))


def _unwarned(say: Say) -> Say:
    """`say` without the stages' warnings: of its few rows and steps all would be true."""
    return lambda text: None if text.startswith("warning: ") else say(text)


def _make_model(rehearsal: Rehearsal, say: Say) -> str:
    if rehearsal.config is None:
        return "made by the recipe itself"
    recipe = rehearsal.recipe
    run = rehearsal.run
    outcome = made_model.make(rehearsal.config, rehearsal.full, recipe, run, say)
    check_base_model(recipe, run, chain(recipe))
    return outcome


def _chat(rehearsal: Rehearsal, say: Say) -> str:
    """Ask the shipped model one question.

    That the file predicts as it should, evaluation has tested; after a few steps random weights may
    say nothing.
    """
    from serve.chat import Chat
    from serve.shipped import open_shipped

    with open_shipped(rehearsal.recipe, rehearsal.run) as llama:
        answer = "".join(islice(Chat(llama).answer(QUESTION), PIECES))
    said = repr(answer) if answer else "— the model ended its answer at once"
    say(f"{QUESTION} {said}")
    return "done"


def stepping_seconds(run: Run, stage: str) -> float:
    """The seconds a training spent on its steps, by the trainer's own clock.

    Without its evaluations; 0 of a stage that does not train.
    """
    path = run.folder(stage) / "history.jsonl"
    if stage not in TRAINED or not path.is_file():
        return 0.0
    rows = read_dicts(path)
    runtimes = [float(row["train_runtime"]) for row in rows if "train_runtime" in row]
    evaluations = sum(float(row["eval_runtime"]) for row in rows if "eval_runtime" in row)
    return max(0.0, max(runtimes, default=0.0) - evaluations)
