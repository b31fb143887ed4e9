"""Splits that no row can come into, whatever the files hold: known before anything is read. Pure.

A training without a row, an evaluation or a fit on an empty split would be told only when hours of
other stages are over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from stemma.errors import Problem
from stemma.recipe.axolotl_keys import Where
from stemma.recipe.check import READS, SCORES
from stemma.recipe.data import DataSection
from stemma.recipe.models import Recipe
from stemma.rows import Split

VALIDATED = ("early_stopping_patience", "load_best_model_at_end")
"""Axolotl's keys that go by the loss on validation rows."""


def can_fill(data: DataSection, kind: str, split: Split) -> bool:
    """Whether a set's sources can give a row of the split."""
    dataset = data.sets()[kind]
    if any(source.use == split for source in dataset.sources):
        return True
    if all(source.use != "split" for source in dataset.sources):
        return False
    held = {"validation": dataset.parts.validation, "test": dataset.parts.test}
    shares = held | {"train": 1 - sum(held.values()) if kind != "corpus" else 1.0}
    return round(shares[split], 9) > 0 or (split == "test" and data.frozen_test is not None)


def split_problems(recipe: Recipe, where: Where) -> Iterator[Problem]:
    """Every training, task and fit of the recipe whose rows cannot be there."""
    data = recipe.data
    sets = data.sets()
    for stage in (["base"] if recipe.base else []) + recipe.training_stages():
        kind = READS[stage]
        if kind in sets and not can_fill(data, kind, "train"):
            found = f"stage `{stage}` will have no row to train on: {_why(data, kind, 'train')}"
            hint = f"let a source have `use: train`, or make `parts` of {kind} smaller"
            yield Problem(where((stage,)), found, "at least one", hint)
    if recipe.evaluated_by is not None:
        yield from _evaluation_problems(recipe, where)
    yield from _validation_problems(recipe, where)


def _evaluation_problems(recipe: Recipe, where: Where) -> Iterator[Problem]:
    data = recipe.data
    for number, options in enumerate(recipe.eval.tasks):
        kind = SCORES.get(options.task)
        if kind in data.sets() and not can_fill(data, kind, "test"):
            found = f"task `{options.task}` will have no row to score: {_why(data, kind, 'test')}"
            place = where(("eval", "tasks", number))
            yield Problem(place, found, "at least one test row", _hint(kind, "test"))
    if recipe.eval.abstention and "mcq" in data.sets() and not can_fill(data, "mcq", "validation"):
        found = f"`abstention` will have no row to fit on: {_why(data, 'mcq', 'validation')}"
        place = where(("eval", "abstention"))
        yield Problem(place, found, "validation rows", _hint("mcq", "validation"))


def unscored(recipe: Recipe, rows: Mapping[str, Mapping[str, int]]) -> Iterator[Problem]:
    """The same of finished data: every task and fit without a row among those that came out of it,
    by set and split."""
    if recipe.evaluated_by is None:
        return
    wanted: list[tuple[str, str | None, Split]] = [
        (f"task `{one.task}`", SCORES.get(one.task), "test") for one in recipe.eval.tasks
    ]
    if recipe.eval.abstention:
        wanted.append(("`eval.abstention`", "mcq", "validation"))
    for what, kind, split in wanted:
        if kind is not None and not rows.get(kind, {}).get(split):
            found = f"{what} has no row: none of the rows of `data.{kind}` came into {split}"
            hint = f"more rows, a larger `data.{kind}.parts.{split}`, or a source with `use: "
            yield Problem(f"data.{kind}", found, f"at least one {split} row", f"{hint}{split}`")


def _validation_problems(recipe: Recipe, where: Where) -> Iterator[Problem]:
    """What goes by validation rows while it trains, without any."""
    data = recipe.data
    for stage in recipe.training_stages():
        kind = READS[stage]
        if kind not in data.sets() or can_fill(data, kind, "validation"):
            continue
        why, hint = _why(data, kind, "validation"), _hint(kind, "validation")
        if recipe.sweep and recipe.sweep.stage == stage:
            found = f"`sweep` will have no `{recipe.sweep.metric}` to go by: {why}"
            yield Problem(where(("sweep",)), found, "validation rows", hint)
        for key in VALIDATED:
            if recipe.training_settings(stage).get(key):
                section = stage if key in recipe.stage(stage).axolotl else "train"
                found = f"`{key}` will have no loss to go by: {why}"
                yield Problem(where((section, key)), found, "validation rows", hint)


def _why(data: DataSection, kind: str, split: Split) -> str:
    sources = data.sets()[kind].sources
    if all(source.use != "split" for source in sources):
        return f"no source of `data.{kind}` has `use: {split}`"
    share = "`parts` leave nothing" if split == "train" else f"`parts.{split}` is 0"
    return f"in `data.{kind}` {share}, and no source has `use: {split}`"


def _hint(kind: str, split: Split) -> str:
    return f"set `data.{kind}.parts.{split}: 0.1`, or give a source of it `use: {split}`"
