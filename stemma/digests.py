"""Sizes and sha256 of files, of folders and of values."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

PIECE = 2**18
"""Bytes hashed at once."""


LITTER = re.compile(
    r"\.DS_Store|\._.*|\.nfs[0-9a-f]+|\.directory|Thumbs\.db|desktop\.ini", re.IGNORECASE
)
"""Files that a desktop or a network drive leaves in folders that somebody looks into."""


def files_under(path: Path) -> list[Path]:
    """The file itself, or all files of a folder and those below it, sorted; without litter."""
    if path.is_file():
        return [path]
    found = (inner for inner in path.rglob("*") if inner.is_file())
    return sorted(inner for inner in found if not LITTER.fullmatch(inner.name))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in files_under(path))


def digest_of(path: Path) -> str:
    """sha256 of a file; of a folder, sha256 over its relative names and file digests."""
    if path.is_file():
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
        return digest.hexdigest()
    return digest_of_tree(path, digest_of)


def digest_of_tree(path: Path, digest: Callable[[Path], str]) -> str:
    """What `digest_of` gives of a folder, where `digest` knows that of each file."""
    names = [(str(file.relative_to(path)), digest(file)) for file in files_under(path)]
    return digest_json(names)


def digests_of_weights(folder: Path) -> dict[str, str]:
    """sha256 of each weights file of a model folder, by the file's name.

    Gigabytes are read once in a process, though several places ask.
    """
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        stat = path.stat()
        found[path.name] = _digest_once(path, stat.st_size, stat.st_mtime_ns)
    return found


@cache
def _digest_once(path: Path, size: int, changed_ns: int) -> str:  # noqa: ARG001
    """The digest; an overwritten file has another size or time, hence another entry."""
    return digest_of(path)


def digest_json(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Names of files need not be UTF-8, and a damaged JSON file may hold half a character.
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
