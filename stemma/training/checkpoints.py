"""Which checkpoints may be gone on with: those written to their end, by the same work, by as many processes.

A checkpoint is sealed last, like a manifest: the plugin writes `sealed.json` when all ranks have written their files
and the weights are finite (`stemma.plugin.sealing`). Axolotl resumes from the highest number it finds; so what may not
be gone on with is moved aside, into `torn/`.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.errors import Problem, UserError
from stemma.jsonl import read_json
from stemma.keys import axolotl_version
from stemma.runs import digest_json, digest_of, digests_of_weights

SEAL, ASIDE = "sealed.json", "torn"
PREFIX = "checkpoint-"
PLACES = ("output_dir", "dataset_prepared_path", "stemma_references")
"""Keys that say where results and caches lie, not what they are."""


class Seal(BaseModel):
    """What was true when the checkpoint was whole. `files` are sizes in bytes by name, folders below included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    processes: int
    binding: str
    """The digest of settings, data and starting weights (`binding_of`)."""
    files: dict[str, int]


def binding_of(config: dict[str, Any]) -> str:
    """The digest of all that decides what a training with this Axolotl config makes: settings, data, DeepSpeed's file
    and starting weights, by content, wherever they lie; and which Axolotl."""
    settings = {name: value for name, value in config.items() if name not in PLACES}
    # A hub model is told by its name, as Axolotl reads it.
    settings["axolotl"] = axolotl_version()
    settings["base_model"] = digests_of_weights(Path(config["base_model"])) or config["base_model"]
    if isinstance(config.get("deepspeed"), str):
        settings["deepspeed"] = _file(config["deepspeed"])
    for name in ("datasets", "test_datasets"):
        settings[name] = [{**dataset, "path": _file(dataset["path"])} for dataset in config.get(name) or []]
    return digest_json(_as_text(settings))


def _file(path: str) -> str:
    return digest_of(Path(path)) if Path(path).is_file() else path


def _as_text(value: Any) -> Any:
    """Numbers as text: Axolotl reads YAML 1.1, where 5e-05 is a string."""
    if isinstance(value, dict):
        return {str(name): _as_text(inner) for name, inner in sorted(value.items())}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    return str(value)


def sizes(checkpoint: Path) -> dict[str, int]:
    """Bytes of every file but the seal."""
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != SEAL)
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}


def read_seal(checkpoint: Path) -> Seal | None:
    """The seal of a whole checkpoint; None where it is missing, or a file is."""
    try:
        seal = Seal.model_validate(read_json(checkpoint / SEAL))
    except (OSError, UserError, ValidationError):
        return None
    there = sizes(checkpoint)
    whole = all(there.get(name) == size for name, size in seal.files.items())
    return seal if whole and checkpoint.name == f"{PREFIX}{seal.step}" else None


def checkpoints(output: Path) -> list[Path]:
    """From the first step to the last."""
    found = [path for path in output.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def last_good(output: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step."""
    sealed = [(path, seal.step) for path in checkpoints(output) if (seal := read_seal(path))]
    return sealed[-1] if sealed else None


def put_in_order(output: Path, binding: str, processes: int) -> list[str]:
    """Move aside what may not be gone on with; returns what to tell of it.

    Raises UserError when a good one was written by another number of processes, which DeepSpeed would refuse only after
    minutes, and obscurely.
    """
    told = []
    for path in checkpoints(output):
        seal = read_seal(path)
        if seal is None or seal.binding != binding:
            _move_aside(path)
            reason = "not written to its end" if seal is None else "of another recipe, other data or other weights"
            told.append(f"{path.name} is {reason}: moved to {ASIDE}/")
        elif seal.processes != processes:
            found = f"written by {_counted(seal.processes)}, and this training has {processes}"
            hint = f"go on with GPUS={seal.processes} (all machines together), or begin anew with FORCE=1"
            raise UserError(Problem(str(path), found, "as many", hint))
    if not checkpoints(output):
        for path in output.glob("first_step*"):  # of an attempt that ended before its first checkpoint
            path.unlink()
    return told


def _counted(processes: int) -> str:
    return f"{processes} process{'es' if processes > 1 else ''}"


def _move_aside(checkpoint: Path) -> None:
    target = checkpoint.parent / ASIDE / checkpoint.name
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    checkpoint.rename(target)
