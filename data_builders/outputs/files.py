"""The files of a finished build: rows, what was dropped, where each row comes from, the test
questions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from data_builders.account import SetSource
from data_builders.flow import Placed, splits_of
from data_builders.split import id_of
from stemma.digests import digest_of
from stemma.files import part_of, write_text
from stemma.jsonl import write_jsonl
from stemma.licences import UNSTATED
from stemma.rows import Dropped

DROPPED = "dropped.jsonl"


@contextmanager
def spool(path: Path) -> Iterator[Callable[[Dropped], None]]:
    """A file of dropped rows, written as they come; whole also when the build fails, as it tells
    why."""
    part = part_of(path)
    try:
        with part.open("w", encoding="utf-8", newline="\n") as stream:
            yield lambda row: print(
                json.dumps(row.model_dump(mode="json"), ensure_ascii=False), file=stream
            )
    finally:
        part.replace(path)


def write_sets(folder: Path, kinds: Sequence[str], rows: Sequence[Placed]) -> dict[str, str]:
    """Write {set}/{split}.jsonl; the rows carry no more than training reads."""
    outputs = {}
    for kind in kinds:
        for split in splits_of(kind):
            outputs[f"{kind}/{split}"] = path = f"{kind}/{split}.jsonl"
            write_jsonl(
                folder / path,
                (placed.row for placed in rows if (placed.kind, placed.split) == (kind, split)),
            )
    return outputs


def write_provenance(
    folder: Path, root: Path, sources: Sequence[SetSource], rows: Sequence[Placed]
) -> dict[str, str]:
    """Where each row comes from, one line a row, joined to the sets by `id`: Axolotl wants equal
    columns there."""
    licences = _licences(sources, rows)
    digest = cache(
        lambda file: digest_of(root / file) if file and (root / file).is_file() else None
    )
    origins = (
        _origin(placed, licence, digest) for placed, licence in zip(rows, licences, strict=True)
    )
    write_jsonl(folder / "provenance.jsonl", origins)
    return {"provenance": "provenance.jsonl"}


def _licences(sources: Sequence[SetSource], rows: Sequence[Placed]) -> Iterator[str]:
    """Each row's licence; a derived row, whose `where` ends in the id of the row it was made of,
    has that one's."""
    stated = {source.name: source.licence or UNSTATED for source in sources}
    derived = {source.name for source in sources if source.phase == "derive"}
    known = {placed.row.id: stated[placed.source] for placed in rows} if derived else {}
    for placed in rows:
        yield (
            known[placed.draft.where.split()[-1]]
            if placed.source in derived
            else stated[placed.source]
        )


def _origin(placed: Placed, licence: str, digest: Callable[[str], str | None]) -> dict[str, Any]:
    draft = placed.draft
    found: dict[str, Any] = {
        "id": placed.row.id,
        "set": placed.kind,
        "part": placed.split,
        "source": placed.source,
        "licence": licence,
    }
    found |= {"file": draft.file, "where": draft.where, "input_sha256": digest(draft.file)}
    if draft.origin:
        found |= {
            "prompt_sha256": draft.origin.prompt_sha256,
            "model": draft.origin.model,
            "date": draft.origin.date,
        }
        found |= {"requests": draft.origin.requests, "cost_usd": draft.origin.cost_usd}
    return found


def write_test_ids(folder: Path, rows: Sequence[Placed]) -> dict[str, str]:
    """The test questions' ids: named as `frozen_test`, they stay test questions whatever a later
    build adds. Without those of pairs that are split by pair, as they train."""
    ids = sorted(
        {id_of(placed) for placed in rows if placed.split == "test" and not placed.by_pair}
    )
    write_text(folder / "test_ids.txt", "".join(f"{one}\n" for one in ids))
    return {"test_ids": "test_ids.txt"}
