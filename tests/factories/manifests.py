"""The manifest of a stage whose outputs a test has put in its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stemma import runs
from stemma.runs import Manifest, Run, describe


def write_manifest(run: Run, stage: str, outputs: Mapping[str, str], **fields: Any) -> None:
    """Finish a stage.

    `outputs` names each output's path in the stage's folder; `fields` are other values of the
    manifest.
    """
    folder = run.folder(stage)
    plain: dict[str, Any] = {
        "recipe": run.root.name,
        "key": f"key of {stage}",
        "section": {},
        "overrides": [],
        "inputs": {},
        "counts": {},
        "facts": {},
        "seed": 42,
        "git_commit": "",
        "versions": {},
        "hardware": {},
        "start": "",
        "end": "",
    }
    described = {name: describe(folder, path) for name, path in outputs.items()}
    runs.write_manifest(run, Manifest(stage=stage, outputs=described, **(plain | fields)))


def change_manifest(run: Run, stage: str, **fields: Any) -> None:
    """Give a finished stage's manifest other values, as if the stage had written them."""
    runs.write_manifest(run, run.manifest(stage).model_copy(update=fields))


def put_manifest(run: Run, stage: str, paths: Iterable[str]) -> None:
    """Finish a stage whose outputs are named like their files, without `.jsonl`."""
    write_manifest(run, stage, {path.removesuffix(".jsonl"): path for path in paths})
