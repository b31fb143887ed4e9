"""The `data` stage: runs the sources, cleans and divides their rows, writes JSONL and accounts for every row."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

from data_builders import SOURCES
from data_builders.clean import finish, is_damaged, map_texts, repair
from data_builders.drafts import PHASES, Context, Draft, Drop, FileOptions, Kind, Phase, Placed, parts_of
from data_builders.split import choose_part, keep_apart, question_key
from stemma.errors import Problem, UserError
from stemma.jsonl import write_jsonl
from stemma.recipe import DataSet, Recipe, SourceOptions
from stemma.rows import Dropped, Split
from stemma.stages import Result, Work


@dataclass
class Collected:
    """All rows so far, by fate. `read` counts what each batch (a source as the recipe names it) gave."""

    read: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    placed: list[Placed] = field(default_factory=list)
    dropped: defaultdict[str, list[Dropped]] = field(default_factory=lambda: defaultdict(list))
    seen: set[tuple[Split, str]] = field(default_factory=set)


def run(work: Work) -> Result:
    collected = Collected()
    for phase in PHASES:
        _collect(phase, work, collected)
    outputs = _write(work.folder, work.recipe, collected)
    _refuse_empty_sets(work.recipe, collected)
    return Result(outputs, counts=_count(collected))


def _collect(phase: Phase, work: Work, collected: Collected) -> None:
    """Run every source of a phase, then take out rows whose question another set or file tests on."""
    data, before = work.recipe.data, tuple(collected.placed)
    problems: list[Problem] = []
    for name, dataset in data.sets().items():
        kind = cast(Kind, name)
        context = Context(kind, Path(data.root), work.recipe.seed, work.folder, data.generator, before, work.say)
        for options in dataset.sources:
            if phase == SOURCES[options.source].PHASE:
                try:
                    _read_source(options, dataset, context, collected)
                except UserError as error:  # the other files may hold more to fix
                    problems += error.problems
    if problems:
        raise UserError(problems)
    collected.placed, leaking = keep_apart(collected.placed)
    for placed in leaking:
        row = placed.row.model_dump(mode="json")
        dropped = Dropped(source=placed.row.source, where=placed.where, reason="in evaluation part", row=row)
        collected.dropped[placed.batch].append(dropped)


def _read_source(options: SourceOptions, dataset: DataSet, context: Context, collected: Collected) -> None:
    batch = f"{context.kind}: {options.source}" + (f" {options.path}" if isinstance(options, FileOptions) else "")
    collected.read[batch] += 0  # a source that gives nothing is counted too
    for item in islice(SOURCES[options.source].read(options, context), options.limit):
        collected.read[batch] += 1
        found = _place(item, options, dataset, context, batch) if isinstance(item, Draft) else item
        if isinstance(found, Placed) and (found.part, found.row.id) in collected.seen:
            found = Drop(item.where, "duplicate", item.row)
        if isinstance(found, Placed):
            collected.seen.add((found.part, found.row.id))
            collected.repaired[batch] += is_damaged(item.row)
            collected.placed.append(found)
        else:
            dropped = Dropped(source=options.source, where=item.where, reason=found.reason, row=_printable(item.row))
            collected.dropped[batch].append(dropped)
    context.say(f"{batch}: {collected.read[batch]} rows read")


def _place(draft: Draft, options: SourceOptions, dataset: DataSet, context: Context, batch: str) -> Placed | Drop:
    row = finish(context.kind, options.source, draft)
    if isinstance(row, str):
        return Drop(draft.where, row, draft.row)
    key = question_key(repair(draft.question))
    part: Split = "train"
    if context.kind != "corpus":
        part = choose_part(key, context.seed, dataset.parts) if options.use == "split" else options.use
    return Placed(batch, context.kind, part, key, draft.where, row)


def _printable(row: dict[str, Any]) -> Any:
    """The row with what UTF-8 cannot hold written out, e.g. an unpaired surrogate as `\\ud83d`."""
    return map_texts(row, lambda text: text.encode("utf-8", "backslashreplace").decode())


def _write(folder: Path, recipe: Recipe, collected: Collected) -> dict[str, str]:
    outputs = {}
    for name in recipe.data.sets():
        for part in parts_of(name):
            outputs[f"{name}/{part}"] = path = f"{name}/{part}.jsonl"
            rows = (placed.row for placed in collected.placed if placed.kind == name and placed.part == part)
            write_jsonl(folder / path, rows)
    write_jsonl(folder / "dropped.jsonl", (row for rows in collected.dropped.values() for row in rows))
    return {**outputs, "dropped": "dropped.jsonl"}


def _refuse_empty_sets(recipe: Recipe, collected: Collected) -> None:
    filled = {placed.kind for placed in collected.placed if placed.part == "train"}
    problems = []
    for name in (name for name in recipe.data.sets() if name not in filled):
        batches = {batch: rows for batch, rows in collected.dropped.items() if batch.startswith(f"{name}: ")}
        lost = [f"{batch}: {len(rows)} dropped" for batch, rows in batches.items()]
        found = "no training row is left" + (f" ({'; '.join(lost)})" if lost else "")
        hint = "the data stage's dropped.jsonl gives each row's reason"
        problems.append(Problem(f"data.{name}", found, "at least one", hint))
    if problems:
        raise UserError(problems)


def _count(collected: Collected) -> dict[str, Any]:
    """Per batch: read = kept + dropped by reason, and how many were repaired; per set: the size of each part."""
    sources = {}
    for batch, read in collected.read.items():
        kept = sum(placed.batch == batch for placed in collected.placed)
        dropped = Counter(dropped.reason for dropped in collected.dropped[batch])
        assert read == kept + dropped.total(), f"{batch}: {read} read, but {kept} kept and {dropped.total()} dropped"
        repaired = collected.repaired[batch]
        sources[batch] = {"read": read, "kept": kept, "dropped": dict(sorted(dropped.items())), "repaired": repaired}
    sizes: dict[str, dict[str, int]] = {}
    for placed in collected.placed:
        sizes.setdefault(placed.kind, dict.fromkeys(parts_of(placed.kind), 0))[placed.part] += 1
    return {"sources": sources, "sets": sizes}
