"""The identity of a model folder: a digest of weights, config and tokenizer, wherever it lies.

Gigabytes are hashed once: what was found is kept beside the run folders by each file's path, size
and time of change, in a file that may be deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stemma.jsonl import write_json
from stemma.runs import digest_json, digest_of

MODEL_FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model"]
PROVENANCE = "provenance.json"
"""No part of a model: where it was imported from, and when, is another after another import."""
KEPT = "digests.json"
"""The file of known digests, beside the run folders."""

Known = dict[str, tuple[int, int, str]]
"""By a file's path: bytes, nanoseconds of its last change, and sha256."""


def model_digest(folder: Path, runs: Path) -> str:
    """The digest of a model's files and their names. `runs` is where the run folders lie."""
    known = _read(runs / KEPT)
    found = {path.name: _entry(path, known) for path in sorted(_files(folder))}
    fresh = {str(folder.resolve() / name): entry for name, entry in found.items()}
    if not fresh.items() <= known.items() and runs.is_dir():
        # Runs may be read-only: then it is hashed again the next time.
        with suppress(OSError):
            write_json(runs / KEPT, known | fresh)
    return digest_json({name: digest for name, (_, _, digest) in found.items()})


def _files(folder: Path) -> Iterator[Path]:
    for pattern in MODEL_FILES:
        for path in folder.glob(pattern):
            if path.is_file() and path.name != PROVENANCE:
                yield path


def _entry(path: Path, known: Known) -> tuple[int, int, str]:
    stat = path.stat()
    seen = known.get(str(path.parent.resolve() / path.name))
    if seen and seen[:2] == (stat.st_size, stat.st_mtime_ns):
        return seen
    return stat.st_size, stat.st_mtime_ns, digest_of(path)


def _read(path: Path) -> Known:
    try:
        return TypeAdapter(Known).validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return {}
