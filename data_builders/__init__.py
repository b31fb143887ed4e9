"""Sources → rows: everything a recipe can train and test on is built here, one file per source.

`SOURCES` is read from the disk: a new file in `sources/` is a new source. Imports stay light (no torch, no network
client), because `stemma check` reads every source's options.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module
from types import ModuleType

from data_builders import sources
from stemma.errors import Problem
from stemma.recipe import DataSection

SOURCES: dict[str, ModuleType] = {
    module.name: import_module(f"{sources.__name__}.{module.name}") for module in pkgutil.iter_modules(sources.__path__)
}


def find_problems(data: DataSection) -> list[Problem]:
    """What no single source can see: a source in a set it cannot make rows for, or without the generator it asks."""
    problems: list[Problem] = []
    for name, dataset in data.sets().items():
        for number, options in enumerate(dataset.sources):
            where = f"data.{name}.sources[{number}]"
            module = SOURCES[options.source]
            if name not in module.KINDS:
                fitting = ", ".join(sorted(s for s, m in SOURCES.items() if name in m.KINDS))
                found = f"source `{options.source}` cannot make {name} rows"
                problems.append(Problem(where, found, f"one of {fitting}", f"it makes {', '.join(module.KINDS)}"))
            if name == "corpus" and options.use in ("validation", "test"):
                problems.append(Problem(where, f"use: {options.use}", "train or split: a corpus has no other part"))
            if module.PHASE == "generate" and data.generator is None:
                problems.append(Problem("data.generator", f"missing, but {where} asks it", "a generator section"))
    return problems
