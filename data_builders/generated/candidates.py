"""Multiple-choice questions that the generator may be asked: clean, distinct, not in evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from data_builders.filters.clean import finish
from data_builders.flow import Draft, Drop, SourceContext
from data_builders.reading.files import FileOptions
from data_builders.split import draw
from stemma.recipe.data import SourceOptions
from stemma.rows import LETTERS, McqRow

HELD_OUT = "in evaluation part: not asked"
Candidate = tuple[Draft, McqRow]
"""A source's draft, and the row that was made of it."""


def draw_candidates(
    items: Iterable[Draft | Drop], options: SourceOptions, context: SourceContext
) -> tuple[list[Candidate], list[Drop]]:
    """Up to `limit` of a source's MCQ drafts, and what was dropped on the way.

    Their order is drawn by the seed, so that a higher limit only adds requests.
    """
    found: dict[str, Candidate] = {}
    drops: list[Drop] = []
    for item in items:
        if isinstance(item, Drop):
            drops.append(item)
            continue
        row = finish("mcq", options.source, item, context.special)
        if not isinstance(row, McqRow):
            drops.append(Drop(item.where, str(row), item.row))
        elif row.id in found:
            drops.append(Drop(item.where, "duplicate", item.row))
        else:
            found[row.id] = item, row

    asked: list[Candidate] = []
    for item, row in sorted(found.values(), key=lambda one: draw(context.seed, one[1].id)):
        if len(asked) == options.limit:
            break
        if context.held_out(item.question):
            drops.append(Drop(item.where, HELD_OUT, item.row))
        else:
            asked.append((item, row))
    return asked, drops


def as_mcq(context: SourceContext) -> SourceContext:
    """The context in which a source gives its questions as MCQ rows."""
    return replace(context, kind="mcq")


def same_files(options: FileOptions) -> dict[str, Any]:
    """The options that name the files, for another source to read them."""
    return options.model_dump(
        include=FileOptions.model_fields.keys() - SourceOptions.model_fields.keys()
    )


def letter_options(row: McqRow) -> str:
    """The options as they are listed, one a line, e.g. `A. the cell wall`."""
    return "\n".join(_lettered(row))


def right_option(row: McqRow) -> str:
    """The right option as it is listed, e.g. `B. the nucleus`."""
    return list(_lettered(row))[LETTERS.index(row.answer)]


def _lettered(row: McqRow) -> Iterator[str]:
    return (f"{letter}. {choice}" for letter, choice in zip(LETTERS, row.choices, strict=False))
