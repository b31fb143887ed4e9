"""Readers of documents, a module each kind; the registry is the folder.

A module offers `READER`: what it yields, document by document, and the licence it knows.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from rag.documents import Found


@dataclass(frozen=True)
class Reader:
    """A kind of source. `read(options, root)` yields its documents, and what it skips."""

    read: Callable[[Any, Path], Iterator[Found]]
    licence: str = ""
    """The licence of its text as an SPDX identifier; "" where only the recipe can know."""


def readers() -> dict[str, Reader]:
    """Every reader by its name, which is its file's."""
    return {
        module.name: import_module(f"{__name__}.{module.name}").READER
        for module in pkgutil.iter_modules(__path__)
    }
