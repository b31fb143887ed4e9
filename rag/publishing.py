"""A written database takes the place of the one before it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemma.digests import digest_of, size_of
from stemma.files import remove
from stemma.retrieval.database import (
    ENCODER,
    PASSAGES,
    STATIC,
    VECTORS,
    DatabaseFacts,
    EmbedderFacts,
    FileFacts,
    write_facts,
)
from stemma.retrieval.passages import Embedder
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.stamps import stamp_of


@dataclass(frozen=True)
class BuildFacts:
    """What a database says of itself that its passages do not."""

    mode: str
    """What of its sources it holds, in words."""
    licences: dict[str, str]
    """By source."""
    model: dict[str, Any] = field(default_factory=dict)
    """The embedder: kind, and all that opening it needs."""
    search: SearchSettings = field(default_factory=SearchSettings)


@dataclass(frozen=True)
class Held:
    """What is in a database."""

    passages: int
    sources: dict[str, int]
    contaminated: int
    left_out: int


def facts_of(
    work: Path, held: Held, build: BuildFacts, embedder: Embedder | None, max_bytes: int
) -> DatabaseFacts:
    """The facts of a database whose files lie in `work`; every byte is read."""
    names = [name for name in (PASSAGES, VECTORS, ENCODER, STATIC) if (work / name).exists()]
    files = {
        name: FileFacts(bytes=size_of(work / name), sha256=digest_of(work / name)) for name in names
    }
    made_by = None
    if embedder:
        made_by = EmbedderFacts(
            digest=embedder.digest, dimensions=embedder.dimensions, model=build.model
        )
    return DatabaseFacts(
        stamp=stamp_of(work / PASSAGES),
        passages=held.passages,
        sources=held.sources,
        licences=build.licences,
        mode=build.mode,
        contaminated=held.contaminated,
        left_out=held.left_out,
        max_bytes=max_bytes,
        bytes=sum(one.bytes for one in files.values()),
        files=files,
        embedder=made_by,
        search=build.search,
    )


def put_model(work: Path, model: Path) -> None:
    """Copy an embedder's file or folder into the database, unless it is there."""
    target = work / (STATIC if model.is_dir() else ENCODER)
    if target.exists() and digest_of(target) == digest_of(model):
        return
    remove(target)
    if model.is_dir():
        shutil.copytree(model, target)
    else:
        shutil.copyfile(model, target)


def put_in_place(work: Path, folder: Path, facts: DatabaseFacts) -> None:
    """Write the facts into `work`, and rename it to `folder`."""
    write_facts(work, facts)
    _sync(work)
    aside = _aside(folder)
    remove(aside)
    if folder.exists():
        folder.rename(aside)
    work.rename(folder)
    _sync(folder.parent)
    remove(aside)


def restore(folder: Path) -> None:
    """Put the database before back, where a kill came between the two renames."""
    if _aside(folder).exists() and not folder.exists():
        _aside(folder).rename(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _sync(folder: Path) -> None:
    """Wait until a folder's names are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
