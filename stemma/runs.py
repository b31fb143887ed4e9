"""The run folder and its manifests: where each stage's files lie, what made them, and whether they are still whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.errors import Problem, UserError
from stemma.jsonl import read_json

MANIFEST = "manifest.json"
PIECE = 2**18
"""Bytes hashed at once."""


class Output(BaseModel):
    """A produced file or folder. `path` is relative to the stage's folder; a folder's sha256 covers its tree."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    bytes: int
    sha256: str


class Manifest(BaseModel):
    """What a stage writes last. No manifest: not done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    recipe: str
    key: str
    """sha256 over the stage's resolved recipe section and every input: equal keys mean equal work."""
    section: dict[str, Any]
    overrides: list[str]
    inputs: dict[str, str]
    outputs: dict[str, Output]
    counts: dict[str, Any]
    facts: dict[str, Any]
    """What the stage measured or says in words (gates, which weights the reference is, …)."""
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
        """The stage's manifest, or None when the stage is not done. Raises UserError when it was damaged."""
        path = self.folder(stage) / MANIFEST
        if not path.is_file():
            return None
        try:
            return Manifest.model_validate(read_json(path))
        except (ValidationError, UserError):
            found, hint = "not a manifest of this version", f"run `make {stage} RECIPE={self.root.name} FORCE=1`"
            raise UserError(Problem(str(path), found, "the file as Stemma wrote it", hint)) from None

    def manifest(self, stage: str) -> Manifest:
        """The stage's manifest. Raises UserError naming the command that makes it."""
        manifest = self.read_manifest(stage)
        if manifest is None:
            name = self.root.name
            raise UserError(
                Problem(
                    str(self.folder(stage) / MANIFEST),
                    f"stage `{stage}` of recipe `{name}` is not done",
                    "its manifest",
                    f"run `make {stage} RECIPE={name}`, or the whole chain with `make all RECIPE={name}`",
                )
            )
        return manifest

    def output(self, stage: str, name: str) -> Path:
        """The path of a named output. Raises UserError when the stage is not done, or the output is not there or not as
        large as it was: a damaged or another file is not what the manifest speaks of."""
        outputs = self.manifest(stage).outputs
        path = self.folder(stage) / (outputs[name].path if name in outputs else name)
        hint = f"the recipe or the folder changed since: run `make {stage} RECIPE={self.root.name}`"
        if name not in outputs or not path.exists():
            raise UserError(Problem(str(path), f"stage `{stage}` has no output `{name}`", "a file or folder", hint))
        if (there := size_of(path)) != outputs[name].bytes:
            expected = f"{outputs[name].bytes:,}, as stage `{stage}` wrote it"
            raise UserError(Problem(str(path), f"{there:,} bytes", expected, hint))
        return path


def describe(folder: Path, relative: str) -> Output:
    """Size and digest of a produced file or folder."""
    path = folder / relative
    return Output(path=relative, bytes=size_of(path), sha256=digest_of(path))


def files_under(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in files_under(path))


def digests_of_weights(folder: Path) -> dict[str, str]:
    """Of each weights file by its name. Gigabytes are read once, though several places tell or bind by them."""
    stats = {path: path.stat() for path in sorted(folder.glob("*.safetensors"))}
    return {path.name: _digest_once(path, stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


@cache
def _digest_once(path: Path, size: int, changed_ns: int) -> str:  # noqa: ARG001 (of an overwritten file: another key)
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
