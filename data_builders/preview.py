"""The preview of rows, as a person reads them and as the model sees them: of a finished build, or
else straight from the sources.

Nothing is written, and no request is ever sent: what a generator writes is shown once it has been
built.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from data_builders import SOURCES
from data_builders.account import SetSource, sources_of
from data_builders.filters.clean import finish
from data_builders.flow import ROW_MODELS, Draft, Row, SourceContext
from data_builders.outputs.figures import texts_of
from data_builders.tokens import LATER, own_tokens, picture
from stemma.base_model.files import template_of
from stemma.base_model.tokenizer import find_tokenizer, load_tokenizer
from stemma.errors import Problem, UserError
from stemma.freshness import is_fresh
from stemma.jsonl import read_dicts
from stemma.recipe.models import Recipe
from stemma.rows import Dropped
from stemma.runs import Run
from stemma.templates import Template
from stemma.training.rows import sample

LOOKED_AT = 500
"""Rows of an unbuilt source that are read to find some that are kept and some that are dropped."""
WIDTH = 100
INDENT = "      "
UNPAID = (
    "written by the generator when the data are built; `--dry-run` of `data` says what that costs"
)
DERIVED = "made of the other sets' training rows when the data are built"


@dataclass
class Shown:
    """The rows of one source that a preview shows."""

    set_source: SetSource
    kept: list[tuple[str, Row]] = field(default_factory=list)
    """(where it comes from, row)."""
    dropped: list[Dropped] = field(default_factory=list)
    said: str = ""


def preview(recipe: Recipe, run: Run, source: str | None, rows: int) -> Iterator[str]:
    """The lines to print. `source` narrows them to one source, by its name. Raises UserError where
    none has it."""
    sources = [
        set_source
        for set_source in sources_of(recipe.data)
        if source in (None, set_source.options.source)
    ]
    if not sources:
        known = ", ".join(
            sorted({set_source.options.source for set_source in sources_of(recipe.data)})
        )
        raise UserError(
            Problem("--source", f"`{source}` fills no set of `{recipe.name}`", f"one of {known}")
        )
    path = find_tokenizer(recipe, run)
    tokenizer = load_tokenizer(path) if path else None
    template = template_of(recipe, run)
    built = _is_built(recipe, run)
    special = own_tokens(recipe, run)
    yield (
        f"{recipe.name}: "
        f"{'rows of the finished build' if built else 'first rows of the sources, not yet built'}"
    )
    yield "" if tokenizer else f"({LATER}; rows as text, the trained part in [[ … ]])"
    for shown in (
        _built(run, sources, rows)
        if built
        else (_unbuilt(recipe, set_source, rows, special) for set_source in sources)
    ):
        yield from _lines(shown, template, tokenizer)


def _is_built(recipe: Recipe, run: Run) -> bool:
    try:
        return is_fresh(recipe, run, "data")
    except UserError:  # a file is missing; if a source that is shown reads it, that source says so
        return False


def _built(run: Run, sources: list[SetSource], rows: int) -> Iterator[Shown]:
    """The first rows of each source in the sets that were written."""
    origins = {
        (origin["set"], origin["id"]): origin
        for origin in read_dicts(run.output("data", "provenance"))
    }
    dropped = [Dropped.model_validate(row) for row in read_dicts(run.output("data", "dropped"))]
    written: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name in run.manifest("data").outputs:
        kind, _, split = name.partition("/")
        for row in read_dicts(run.output("data", name)) if split else []:
            origin = origins[kind, row["id"]]
            written.setdefault(origin["source"], []).append((f"{split} · {origin['where']}", row))
    for set_source in sources:
        ours = written.get(set_source.name, [])[:rows]
        kept = [(where, ROW_MODELS[set_source.kind].model_validate(row)) for where, row in ours]
        yield Shown(
            set_source, kept, [row for row in dropped if row.source == set_source.name][:rows]
        )


def _unbuilt(recipe: Recipe, set_source: SetSource, rows: int, special: re.Pattern[str]) -> Shown:
    """The first rows that a source gives, cleaned but not yet split, filtered or held against
    anything."""
    if set_source.phase != "read":
        return Shown(set_source, said=UNPAID if set_source.phase == "generate" else DERIVED)
    shown = Shown(set_source)
    context = SourceContext(
        set_source.kind,
        Path(recipe.data.root),
        recipe.seed,
        (),
        lambda _text: None,
        special=special,
    )
    for item in islice(
        SOURCES[set_source.options.source].read(set_source.options, context), LOOKED_AT
    ):
        row = (
            finish(set_source.kind, set_source.options.source, item, special)
            if isinstance(item, Draft)
            else item.reason
        )
        if isinstance(row, str):
            shown.dropped.append(
                Dropped(source=set_source.name, where=item.where, reason=row, row=item.row)
            )
        else:
            shown.kept.append((item.where, row))
        if len(shown.kept) >= rows and len(shown.dropped) >= rows:
            break
    return Shown(set_source, shown.kept[:rows], shown.dropped[:rows])


def _lines(shown: Shown, template: Template, tokenizer: Any) -> Iterator[str]:
    yield f"── {shown.set_source.name} ".ljust(WIDTH, "─")
    if shown.said:
        yield f"  {shown.said}"
    for number, (where, row) in enumerate(shown.kept, start=1):
        yield f"  [{number}] {where}"
        for name, text in texts_of(row).items():
            yield f"    {name}:"
            yield from (INDENT + line for line in text.split("\n"))
        one = sample(row, template)
        seen = (
            picture(one, tokenizer)
            if tokenizer
            else (f"{one.prompt} [[ {answer} ]]" for answer in one.answers)
        )
        yield "    as tokens:" if tokenizer else "    as text:"
        yield from (INDENT + line.replace("\n", "\\n") for line in seen)
    for lost in shown.dropped:
        yield f"  dropped: {lost.reason} ({lost.where})"
        yield INDENT + json.dumps(lost.row, ensure_ascii=False)[: 2 * WIDTH]
    yield ""
