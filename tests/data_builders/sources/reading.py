"""Runs one reading source on files a test wrote, and sorts what it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data_builders import SOURCES
from data_builders.flow import Draft, Drop, Kind
from tests.data_builders.small_recipe import make_context


def read(kind: Kind, source: str, root: Path, path: str, **options: Any) -> list[Draft | Drop]:
    found = SOURCES[source]
    return list(
        found.read(found.options(source=source, path=path, **options), make_context(kind, root))
    )


def rows(items: list[Draft | Drop]) -> list[dict[str, Any]]:
    return [item.row for item in items if isinstance(item, Draft)]


def drops(items: list[Draft | Drop]) -> list[tuple[str, str]]:
    return [(item.where, item.reason) for item in items if isinstance(item, Drop)]
