"""The run folder and its manifests: each stage's files, what made them, and if they are whole.

A manifest carries a digest of itself, and digests of all that its stage wrote: what was edited or
damaged since, or copied in from elsewhere, is refused. It is no signature: who edits a file and
writes all digests anew is believed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemma.digests import digest_json, digest_of, size_of
from stemma.errors import Problem, UserError
from stemma.jsonl import read_object, write_json
from stemma.known_digests import differing
from stemma.strict import Record

MANIFEST = "manifest.json"
DIGEST = "digest"
"""In a manifest's file: sha256 over all the rest of it."""


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
    called: str = ""
    """What a command names its recipe by; as the folder where nobody said."""

    @property
    def recipe(self) -> str:
        return self.called or self.root.name

    def folder(self, stage: str) -> Path:
        return self.root / stage

    def read_manifest(self, stage: str, unsealed: bool = False) -> Manifest | None:
        """The stage's manifest, or None when the stage is not done.

        Raises UserError when it was damaged or edited, or is another stage's. `unsealed`: one that
        carries no digest of itself is taken, too.
        """
        path = self.folder(stage) / MANIFEST
        if not path.is_file():
            return None
        again = f"`make {stage} RECIPE={self.recipe} FORCE=1`"
        try:
            value = read_object(path)
            digest = value.pop(DIGEST, None)
            manifest = Manifest.model_validate(value)
            is_whole = digest == digest_json(value)
        except (ValueError, UserError):  # a ValidationError is a ValueError
            found = "not a manifest of this version"
            expected = "the file as Stemma wrote it"
            raise UserError(Problem(str(path), found, expected, f"run {again}")) from None
        expected = f"the file as stage `{stage}` wrote it"
        if digest is None and not unsealed:
            found = "no digest of itself: an older Stemma wrote it, or it was edited"
            seal = f"`make verify RECIPE={self.recipe} SEAL=1` checks its outputs and adds one"
            raise UserError(Problem(str(path), found, expected, f"{seal}; or run {again}"))
        if not (is_whole or digest is None) or manifest.stage != stage:
            of_other = f"the manifest of stage `{manifest.stage}`"
            found = (
                of_other
                if manifest.stage != stage
                else "edited or damaged: its digest is of other content"
            )
            hint = f"put back the file as it was, or run {again}"
            raise UserError(Problem(str(path), found, expected, hint))
        return manifest

    def manifest(self, stage: str) -> Manifest:
        """The stage's manifest. Raises UserError naming the command that makes it."""
        manifest = self.read_manifest(stage)
        if manifest is None:
            name = self.recipe
            where = str(self.folder(stage) / MANIFEST)
            found = f"stage `{stage}` of recipe `{name}` is not done"
            whole = f"or the whole chain with `make all RECIPE={name}`"
            hint = f"run `make {stage} RECIPE={name}`, {whole}"
            raise UserError(Problem(where, found, "its manifest", hint))
        return manifest

    def output(self, stage: str, name: str) -> Path:
        """The path of a named output.

        Raises UserError when the stage is not done, or the output is not there or not as it was, to
        the byte: a damaged or another file is not what the manifest speaks of.
        """
        manifest = self.manifest(stage)
        outputs = manifest.outputs
        if name not in outputs:
            path = self.folder(stage) / name
            raise UserError(self._problem(stage, path, f"stage `{stage}` has no output `{name}`"))
        if problems := self.damage_of(manifest, [name]):
            raise UserError(problems)
        return self.folder(stage) / outputs[name].path

    def damage(self, stage: str) -> list[Problem]:
        """Every output of a finished stage that is not as it was written.

        Raises UserError when the stage is not done.
        """
        return self.damage_of(self.manifest(stage))

    def damage_of(
        self, manifest: Manifest, names: Iterable[str] | None = None, anew: bool = False
    ) -> list[Problem]:
        """The outputs, all or those named, that are not as the manifest says.

        Digests are compared; of a large file that has not changed since, the one that is
        remembered, unless all are to be read `anew`. Raises UserError where one cannot be read.
        """
        stage = manifest.stage
        outputs = manifest.outputs
        found: dict[Path, Problem] = {}
        wanted: dict[Path, str] = {}
        for name in outputs if names is None else names:
            path = self.folder(stage) / outputs[name].path
            if not path.exists():
                missing = f"stage `{stage}` has no output `{name}`"
                found[path] = self._problem(stage, path, missing)
            elif (there := size_of(path)) != outputs[name].bytes:
                expected = f"{outputs[name].bytes:,}, as stage `{stage}` wrote it"
                found[path] = self._problem(stage, path, f"{there:,} bytes", expected)
            else:
                wanted[path] = outputs[name].sha256
        try:
            others = differing(wanted, self.root.parent, anew)
        except PermissionError:
            raise
        except OSError as error:  # it went away meanwhile, or the disk fails
            where = Path(error.filename or self.folder(stage))
            cannot = f"cannot be read: {error.strerror}"
            raise UserError(self._problem(stage, where, cannot, "a readable file")) from None
        for path in others:
            expected = f"the content that stage `{stage}` wrote (sha256 {wanted[path][:12]}…)"
            found[path] = self._problem(stage, path, "other content of the same size", expected)
        in_order = (self.folder(stage) / output.path for output in outputs.values())
        return [found[path] for path in in_order if path in found]

    def _problem(
        self, stage: str, path: Path, found: str, expected: str = "a file or folder"
    ) -> Problem:
        again = f"run `make {stage} RECIPE={self.recipe}`"
        hint = f"the recipe or the folder changed since: {again}"
        return Problem(str(path), found, expected, hint)


def write_manifest(run: Run, manifest: Manifest) -> None:
    """Finish a stage: its manifest, with a digest of itself."""
    # As it will be read: JSON has no other keys than text.
    value = json.loads(json.dumps(manifest.model_dump(mode="json")))
    path = run.folder(manifest.stage) / MANIFEST
    write_json(path, value | {DIGEST: digest_json(value)})


def describe(folder: Path, relative: str) -> Output:
    """Size and digest of a produced file or folder."""
    path = folder / relative
    return Output(path=relative, bytes=size_of(path), sha256=digest_of(path))
