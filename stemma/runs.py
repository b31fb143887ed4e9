"""The run folder and its manifests: each stage's files, what made them, and if they are whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stemma.errors import Problem, UserError
from stemma.jsonl import read_json
from stemma.strict import Record

MANIFEST = "manifest.json"
PIECE = 2**18
"""Bytes hashed at once."""


class Output(Record):
    """A produced file or folder. A folder's sha256 covers its whole tree."""

    path: str
    """Relative to the stage's folder."""
    bytes: int
    sha256: str


class Manifest(Record):
    """The record of a finished stage, which it writes last: without one it is not done."""

    stage: str
    recipe: str
    key: str
    """sha256 over the stage's recipe section and every input: equal keys mean equal work."""
    section: dict[str, Any]
    overrides: list[str]
    inputs: dict[str, str]
    outputs: dict[str, Output]
    counts: dict[str, Any]
    facts: dict[str, Any]
    """Facts that the stage measured or says in words (gates, which weights the reference is, …)."""
    seed: int
    git_commit: str
    versions: dict[str, str]
    hardware: dict[str, str | int]
    start: str
    end: str
    reused_from: str | None = None


@dataclass(frozen=True)
class Run:
    """The folder `runs/<recipe>/`: one subfolder a stage."""

    root: Path

    def folder(self, stage: str) -> Path:
        return self.root / stage

    def read_manifest(self, stage: str) -> Manifest | None:
        """The stage's manifest, or None when the stage is not done.

        Raises UserError when it was damaged.
        """
        path = self.folder(stage) / MANIFEST
        if not path.is_file():
            return None
        try:
            return Manifest.model_validate(read_json(path))
        except (ValidationError, UserError):
            found = "not a manifest of this version"
            hint = f"run `make {stage} RECIPE={self.root.name} FORCE=1`"
            expected = "the file as Stemma wrote it"
            raise UserError(Problem(str(path), found, expected, hint)) from None

    def manifest(self, stage: str) -> Manifest:
        """The stage's manifest. Raises UserError naming the command that makes it."""
        manifest = self.read_manifest(stage)
        if manifest is None:
            name = self.root.name
            where = str(self.folder(stage) / MANIFEST)
            found = f"stage `{stage}` of recipe `{name}` is not done"
            whole = f"or the whole chain with `make all RECIPE={name}`"
            hint = f"run `make {stage} RECIPE={name}`, {whole}"
            raise UserError(Problem(where, found, "its manifest", hint))
        return manifest

    def output(self, stage: str, name: str) -> Path:
        """The path of a named output.

        Raises UserError when the stage is not done, or the output is not there or not as large as
        it was: a damaged or another file is not what the manifest speaks of.
        """
        outputs = self.manifest(stage).outputs
        path = self.folder(stage) / (outputs[name].path if name in outputs else name)
        again = f"run `make {stage} RECIPE={self.root.name}`"
        hint = f"the recipe or the folder changed since: {again}"
        if name not in outputs or not path.exists():
            found = f"stage `{stage}` has no output `{name}`"
            raise UserError(Problem(str(path), found, "a file or folder", hint))
        there = size_of(path)
        if there != outputs[name].bytes:
            expected = f"{outputs[name].bytes:,}, as stage `{stage}` wrote it"
            raise UserError(Problem(str(path), f"{there:,} bytes", expected, hint))
        return path


def describe(folder: Path, relative: str) -> Output:
    """Size and digest of a produced file or folder."""
    path = folder / relative
    return Output(path=relative, bytes=size_of(path), sha256=digest_of(path))


def files_under(path: Path) -> list[Path]:
    """The file itself, or all files of a folder and those below it, sorted."""
    if path.is_file():
        return [path]
    return sorted(inner for inner in path.rglob("*") if inner.is_file())


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in files_under(path))


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


def digest_of(path: Path) -> str:
    """sha256 of a file; of a folder, sha256 over its relative names and file digests."""
    if path.is_file():
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as stream:
            while piece := stream.read(PIECE):
                digest.update(piece)
        return digest.hexdigest()
    names = [(str(file.relative_to(path)), digest_of(file)) for file in files_under(path)]
    return digest_json(names)


def digest_json(value: Any) -> str:
    """sha256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
