"""The registry of data sources, and the checks of a recipe's `data` section that need all of them.

`SOURCES` is read from the disk: a new file in `sources/` is a new source. Imports stay light (no
torch, no network client), because `stemma check` reads every source's options.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from data_builders import sources
from data_builders.flow import DataSource
from stemma.errors import Problem
from stemma.licences import refusal
from stemma.recipe.data import DataSection, SourceOptions


def _source_in(name: str) -> DataSource[Any]:
    source = import_module(f"{sources.__name__}.{name}").SOURCE
    assert isinstance(source, DataSource), f"sources/{name}.py: SOURCE is no DataSource"
    return source


SOURCES: dict[str, DataSource[Any]] = {
    module.name: _source_in(module.name) for module in pkgutil.iter_modules(sources.__path__)
}
"""Every source by its name, which is its file's."""


def licence_of(options: SourceOptions) -> str:
    """The licence of what a source reads: what the recipe says, or else what the source knows; ""
    when nobody does."""
    return options.licence or SOURCES[options.source].licence


def find_problems(data: DataSection) -> list[Problem]:
    """Problems that no single source can see: a set it cannot make rows for, a missing generator, a
    licence that forbids a public release."""
    problems: list[Problem] = []
    for name, dataset in data.sets().items():
        for number, options in enumerate(dataset.sources):
            problems += _source_problems(data, name, options, f"data.{name}.sources[{number}]")
    return problems


def _source_problems(
    data: DataSection, name: str, options: SourceOptions, where: str
) -> Iterator[Problem]:
    source = SOURCES[options.source]
    if name not in source.kinds:
        fitting = ", ".join(
            sorted(other for other, known in SOURCES.items() if name in known.kinds)
        )
        found = f"source `{options.source}` cannot make {name} rows"
        yield Problem(where, found, f"one of {fitting}", f"it makes {', '.join(source.kinds)}")
    if name == "corpus" and options.use in ("validation", "test"):
        yield Problem(where, f"use: {options.use}", "train or split: a corpus has no other split")
    if source.phase == "generate" and data.generator is None:
        yield Problem("data.generator", f"missing, but {where} asks it", "a generator section")
    # Derived rows come from the other sets' sources, which are looked at themselves.
    reason = (
        refusal(licence_of(options))
        if data.release == "public" and source.phase != "derive"
        else None
    )
    if reason:
        hint = (
            "take it out, set `release: private`, or give the `licence:` under which you may "
            "pass it on"
        )
        yield Problem(
            where,
            f"source `{options.source}` in a public release: {reason}",
            "data that may be passed on",
            hint,
        )
