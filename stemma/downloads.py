"""A model fetched from the hub, with its bytes shown as they come."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stemma.progress import BYTES, show

NETWORK_ONLY = "Downloading bytes"
"""The hub's second bar counts what came over the network, which its first one counts as well."""


def fetch_snapshot(name: str, revision: str | None, patterns: Iterable[str]) -> Path:
    """The folder of a hub's model at a revision, in the hub's cache.

    Raises the hub's own errors, which derive from OSError and ValueError.
    """
    from huggingface_hub import snapshot_download

    bar = _bar(f"fetching {name}")
    found = snapshot_download(
        name, revision=revision, allow_patterns=list(patterns), tqdm_class=bar
    )
    return Path(found)


def _bar(doing: str) -> type:
    """A progress bar as the hub takes one, which draws nothing itself."""
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):
        monitor_interval = 0  # no thread of its own

        def __init__(self, *given: Any, **named: Any) -> None:
            self.counts = named.get("unit") == "B" and named.get("desc") != NETWORK_ONLY
            super().__init__(*given, **named | {"file": io.StringIO(), "disable": False})

        def display(self, msg: str | None = None, pos: int | None = None) -> None:
            if self.counts and self.total:
                show(doing, int(self.n), int(self.total), BYTES)

    return Bar
