"""Shortfalls of a build: sets without a training row, samples and totals that too few rows fill.

Pure: the rows of all sets in, figures or an error out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from data_builders.account import SetSource
from data_builders.flow import Placed
from stemma.errors import Problem, UserError
from stemma.recipe.data import DataSection


def unfilled(
    data: DataSection, sources: Sequence[SetSource], rows: Sequence[Placed]
) -> list[dict[str, Any]]:
    """The samples and totals that there were too few rows for: what was asked, what is there."""
    found: list[dict[str, Any]] = []
    kept = Counter((placed.source, placed.split) for placed in rows)
    for source in sources:
        for split, amount in source.options.sample.items():
            there = kept[source.name, split]
            if isinstance(amount, int) and there < amount:
                found.append(_unfilled(source.name, split, amount, there))

    train = Counter(str(placed.kind) for placed in rows if placed.split == "train")
    for kind, dataset in data.sets().items():
        if dataset.total and train[kind] < dataset.total:
            found.append(_unfilled(kind, "train", dataset.total, train[kind]))
    return found


def _unfilled(of: str, split: str, asked: int, kept: int) -> dict[str, Any]:
    """As the manifest has it, where a split is called a part."""
    return {"of": of, "part": split, "asked": asked, "kept": kept}


def refuse_empty_sets(
    sources: Sequence[SetSource],
    rows: Sequence[Placed],
    dropped: Mapping[str, Counter[str]],
) -> None:
    """Raises UserError naming every set without a training row, and how many rows its sources
    lost. `dropped`: by source and reason."""
    filled = {placed.kind for placed in rows if placed.split == "train"}
    problems = []
    for kind in dict.fromkeys(source.kind for source in sources):
        if kind in filled:
            continue
        ours = [source.name for source in sources if source.kind == kind]
        totals = {name: dropped[name].total() for name in ours}
        lost = "; ".join(f"{name}: {count} dropped" for name, count in totals.items() if count)
        found = "no training row is left" + (f" ({lost})" if lost else "")
        hint = "the data stage's dropped.jsonl gives each row's reason"
        problems.append(Problem(f"data.{kind}", found, "at least one", hint))
    if problems:
        raise UserError(problems)
