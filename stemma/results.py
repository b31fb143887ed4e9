"""What came out of a finished stage, in one line, and of a finished chain, with the next commands.

Read from manifests, so that it is told of a stage that was taken over from another run, too.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stemma.chain import TRAINED, chain
from stemma.facts import training_facts
from stemma.jsonl import read_dicts, read_json
from stemma.progress import BYTES, amount, percent
from stemma.recipe.load import called
from stemma.recipe.models import Recipe
from stemma.runs import Manifest, Run

FIGURES = {
    "mcq": ("accuracy", "multiple choice right"),
    "generation": ("accuracy", "written answers right"),
    "preference": ("reward_accuracy", "better answer preferred"),
}
"""The headline of each task: its metric, and what that means."""
DATA = "data.root="
"""The override that Make calls DATA; of SET no value holds a blank."""
PREFERRED = "eval_rewards/accuracies"
"""In the trainer's log: the share of held-out pairs whose better answer is preferred."""


def result_line(recipe: Recipe, run: Run, stage: str) -> str:
    """What a finished stage has made, and where it lies.

    Of a manifest that an earlier Stemma wrote otherwise only where.
    """
    manifest = run.manifest(stage)
    try:
        told, place = _of(recipe, stage)(run, manifest)
    except (KeyError, OSError):
        told, place = "", run.folder(stage)
    return f"{told}; {place}" if told else str(place)


def closing_lines(recipe: Recipe, run: Run) -> list[str]:
    """The end of a whole chain: the page, the file that ships, and what to do next."""
    stages = chain(recipe)
    if "report" not in stages:
        return [f"rows    {run.folder('data')}", f"next    {_make('preview', recipe, run)}"]
    report, export = run.manifest("report"), run.manifest("export")
    ship = recipe.export.ship
    lines = []
    if "html" in report.outputs:
        lines.append(f"page    {_place(run, report, 'html')}")
    if ship in export.outputs:
        told = f"{ship}, {amount(export.facts['bytes'][ship], BYTES)}"
        lines.append(f"model   {_place(run, export, ship)} ({told})")
        lines += _next(recipe, run)
    return lines


def _next(recipe: Recipe, run: Run) -> list[str]:
    """The commands that use what came out."""
    commands = []
    if recipe.export.ship.startswith("gguf-"):
        commands.append((_make("chat", recipe, run), "ask it questions"))
    if recipe.rag:
        search = _make("search", recipe, run) + ' QUESTION="…"'
        commands.append((search, "what its passages hold"))
    commands.append((_make("verify", recipe, run), "are all files as they were made?"))
    width = max(len(command) for command, _ in commands)
    lines = [f"{command:<{width}}  # {why}" for command, why in commands]
    return [("next    " if number == 0 else " " * 8) + line for number, line in enumerate(lines)]


def _place(run: Run, manifest: Manifest, name: str) -> Path:
    return run.folder(manifest.stage) / manifest.outputs[name].path


def _make(verb: str, recipe: Recipe, run: Run) -> str:
    """The command of a verb for this recipe, its overrides and its folder of runs."""
    given = {"RECIPE": called(recipe.path)}
    if any(text.startswith(DATA) for text in recipe.overrides):
        given["DATA"] = recipe.data.root
    if sets := [text for text in recipe.overrides if not text.startswith(DATA)]:
        given["SET"] = " ".join(sets)
    if run.root.parent != Path("runs"):
        given["RUNS"] = str(run.root.parent)
    return f"make {verb} " + " ".join(f"{key}={shlex.quote(text)}" for key, text in given.items())


Told = tuple[str, Path]
"""What came out, and where."""


def _of(recipe: Recipe, stage: str) -> Callable[[Run, Manifest], Told]:
    if stage in TRAINED:
        return _training
    if stage == "eval":
        return partial(_eval, recipe.export.ship)
    return TELLERS[stage]


def _data(run: Run, manifest: Manifest) -> Told:
    dropped: Counter[str] = Counter()
    for name, source in manifest.counts["sources"].items():
        dropped[name.partition(":")[0]] += sum(source["dropped"].values())
    sets = []
    for name, parts in manifest.counts["sets"].items():
        rows = " + ".join(f"{count:,} {part}" for part, count in parts.items() if count)
        sets.append(f"{name} {rows or 'no rows'}" + _dropped(dropped[name]))
    return ", ".join(sets), run.folder("data")


def _dropped(count: int) -> str:
    return f" ({count:,} dropped)" if count else ""


def _training(run: Run, manifest: Manifest) -> Told:
    rows = read_dicts(_place(run, manifest, "history"))
    facts = training_facts(manifest)
    steps = facts.steps if facts else manifest.facts.get("steps")
    told = [f"{steps:,} steps"] if steps is not None else []
    told += _first_and_last("loss", rows, "loss")
    told += _first_and_last("held-out loss", rows, "eval_loss")
    told += _first_and_last("better answer preferred", rows, PREFERRED, percent)
    return ", ".join(told), _place(run, manifest, "merged")


def _first_and_last(
    name: str, rows: list[dict[str, Any]], key: str, form: Callable[[float], str] = "{:.3g}".format
) -> Iterator[str]:
    found = [row[key] for row in rows if isinstance(row.get(key), int | float)]
    if len(found) > 1:
        yield f"{name} {form(found[0])} → {form(found[-1])}"
    elif found:
        yield f"{name} {form(found[0])}"


def _export(run: Run, manifest: Manifest) -> Told:
    sizes = manifest.facts["bytes"].items()
    files = [f"{name} {amount(size, BYTES)}" for name, size in sizes]
    return ", ".join(files), run.folder("export")


def _rag(run: Run, manifest: Manifest) -> Told:
    counts = manifest.counts
    told = f"{counts['passages']:,} passages, {amount(counts['bytes'], BYTES)}"
    return told, _place(run, manifest, "database")


def _eval(ship: str, run: Run, manifest: Manifest) -> Told:
    """The headline figure of each task: of the base, and of what ships."""
    scores = read_json(_place(run, manifest, "results"))
    found = {(one["variant"], one["task"], one["metric"]): one for one in scores}
    measured = list(dict.fromkeys(one["variant"] for one in scores))
    chosen = [name for name in ("base", ship) if name in measured] or measured[:2]
    told = []
    for task, (metric, words) in FIGURES.items():
        ours = {name: found[name, task, metric] for name in chosen if (name, task, metric) in found}
        if ours:
            values = ", ".join(f"{name} {percent(one['value'])}" for name, one in ours.items())
            told.append(f"{words}: {values} (n = {next(iter(ours.values()))['n']:,})")
    return "; ".join(told) or f"{len(scores):,} figures", run.folder("eval")


def _report(run: Run, manifest: Manifest) -> Told:
    return "", _place(run, manifest, "html")


TELLERS: dict[str, Callable[[Run, Manifest], Told]] = {
    "data": _data,
    "export": _export,
    "rag": _rag,
    "report": _report,
}
