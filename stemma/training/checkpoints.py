"""The checkpoints a training may resume from: whole ones of the same work by as many processes.

A checkpoint is sealed last, like a manifest: the plugin writes `sealed.json` when all ranks have
written their files and the weights are finite (`stemma.plugin.sealing`). Axolotl resumes from the
highest number it finds, so what must not be resumed is moved aside, into `torn/`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stemma.digests import digest_json, digest_of, digests_of_weights, files_under
from stemma.errors import Problem, UserError
from stemma.jsonl import read_json
from stemma.keys import axolotl_version
from stemma.strict import Record

SEAL = "sealed.json"
ASIDE = "torn"
PREFIX = "checkpoint-"
DEEPSPEED_STATES = ("global_step*/*optim_states.pt", "global_step*/mp_rank_*_model_states.pt")
"""The files of DeepSpeed's optimizer in a checkpoint: of ZeRO-1 to 3, and of ZeRO-0."""
PLACES = ("output_dir", "dataset_prepared_path", "stemma_references")
"""Keys that say where results and caches lie, not what they are."""


class Seal(Record):
    """The record of a checkpoint, true when it was whole."""

    step: int
    processes: int
    binding: str
    """The digest of settings, data and starting weights (`binding_of`)."""
    files: dict[str, str]
    """sha256 by name, in folders below, too."""


def binding_of(config: dict[str, Any]) -> str:
    """The digest of all that decides what a training with this Axolotl config makes.

    Settings, data, DeepSpeed's file and starting weights count by content, wherever they lie; and
    which Axolotl trains.
    """
    settings = {name: value for name, value in config.items() if name not in PLACES}
    settings["axolotl"] = axolotl_version()
    # A hub model is known by its name, as Axolotl reads it.
    weights = digests_of_weights(Path(config["base_model"]))
    settings["base_model"] = weights or config["base_model"]
    if isinstance(config.get("deepspeed"), str):
        settings["deepspeed"] = _content(config["deepspeed"])
    for name in ("datasets", "test_datasets"):
        datasets = config.get(name) or []
        settings[name] = [{**dataset, "path": _content(dataset["path"])} for dataset in datasets]
    return digest_json(_as_text(settings))


def _content(path: str) -> str:
    """A file's digest; of what is no file here, its name."""
    return digest_of(Path(path)) if Path(path).is_file() else path


def _as_text(value: Any) -> Any:
    """Numbers as text: Axolotl reads YAML 1.1, where 5e-05 is a string."""
    if isinstance(value, dict):
        return {str(name): _as_text(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    return str(value)


def contents(checkpoint: Path) -> dict[str, str]:
    """sha256 of every file but the seal."""
    files = (path for path in files_under(checkpoint) if path.name != SEAL)
    return {str(path.relative_to(checkpoint)): digest_of(path) for path in files}


def read_seal(checkpoint: Path) -> Seal | None:
    """The seal of a whole checkpoint; None where it is missing, or one of its files is."""
    try:
        seal = Seal.model_validate(read_json(checkpoint / SEAL))
    except (OSError, UserError, ValidationError):
        return None
    there = contents(checkpoint)
    is_whole = all(there.get(name) == sha256 for name, sha256 in seal.files.items())
    return seal if is_whole and checkpoint.name == f"{PREFIX}{seal.step}" else None


def checkpoints(output: Path) -> list[Path]:
    """The checkpoint folders, from the first step to the last."""
    found = output.glob(f"{PREFIX}*")
    numbered = [path for path in found if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(numbered, key=lambda path: int(path.name.removeprefix(PREFIX)))


def last_good(output: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step."""
    sealed = [(path, seal.step) for path in checkpoints(output) if (seal := read_seal(path))]
    return sealed[-1] if sealed else None


def optimizer_states(output: Path) -> list[str]:
    """The files of DeepSpeed's optimizer in the checkpoints, relative to `output`."""
    for kind in DEEPSPEED_STATES:
        if found := sorted(output.glob(f"{PREFIX}*/{kind}")):
            return [str(path.relative_to(output)) for path in found]
    return []


def set_aside_unusable(output: Path, binding: str, processes: int) -> list[str]:
    """Move aside the checkpoints that must not be resumed; returns what to tell of it.

    Raises UserError when a good one was written by another number of processes: DeepSpeed would
    refuse it only after minutes, and obscurely.
    """
    told = []
    for path in checkpoints(output):
        seal = read_seal(path)
        if seal is None or seal.binding != binding:
            _move_aside(path)
            reason = "of another recipe, other data or other weights"
            if seal is None:
                reason = "damaged, or not written to its end"
            told.append(f"{path.name} is {reason}: moved to {ASIDE}/")
        elif seal.processes != processes:
            found = f"written by {_counted(seal.processes)}, and this training has {processes}"
            same = f"resume with GPUS={seal.processes} (all machines together)"
            hint = f"{same}, or begin anew with FORCE=1"
            raise UserError(Problem(str(path), found, "as many", hint))
    if not checkpoints(output):
        # Of an attempt that ended before its first checkpoint.
        for path in output.glob("first_step*"):
            path.unlink()
    return told


def _counted(processes: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}"


def _move_aside(checkpoint: Path) -> None:
    target = checkpoint.parent / ASIDE / checkpoint.name
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    checkpoint.rename(target)
