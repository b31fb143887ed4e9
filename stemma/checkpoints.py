"""Which checkpoints may be gone on with: those written to their end, by the same work, by as many processes.

A checkpoint is sealed last, like a manifest: the plugin writes `sealed.json` when all ranks have written their files
and the weights are finite (`stemma.plugin.sealing`). Axolotl resumes from the highest number it finds; so what may not
be gone on with is moved aside, into `torn/`.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.errors import Problem, UserError
from stemma.jsonl import read_json

SEAL, ASIDE = "sealed.json", "torn"


class Seal(BaseModel):
    """What was true when the checkpoint was whole. `files` are sizes in bytes by name, folders below included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    step: int
    processes: int
    binding: str
    """The digest of recipe, data and starting weights (`stemma.train.bind`)."""
    files: dict[str, int]


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
    return seal if all(there.get(name) == size for name, size in seal.files.items()) else None


def checkpoints(output: Path) -> list[Path]:
    """From the first step to the last."""
    found = [path for path in output.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def last_good(output: Path) -> tuple[Path, int] | None:
    """The newest whole checkpoint and its step."""
    sealed = [(path, seal.step) for path in checkpoints(output) if (seal := read_seal(path))]
    return sealed[-1] if sealed else None


def put_in_order(output: Path, binding: str, processes: int) -> list[str]:
    """Move aside what may not be gone on with; returns what to tell of it.

    Raises UserError when the newest good one was written by another number of processes, which DeepSpeed would refuse
    only after minutes, and obscurely.
    """
    told = []
    for path in checkpoints(output):
        seal = read_seal(path)
        if seal is None or seal.binding != binding:
            _move_aside(path)
            reason = "not written to its end" if seal is None else "of another recipe, other data or other weights"
            told.append(f"{path.name} is {reason}: moved to {ASIDE}/")
        elif seal.processes != processes:
            found = f"written by {seal.processes} processes, and this training has {processes}"
            hint = f"go on with GPUS={seal.processes} (all machines together), or begin anew with FORCE=1"
            raise UserError(Problem(str(path), found, "as many", hint))
    return told


def _move_aside(checkpoint: Path) -> None:
    target = checkpoint.parent / ASIDE / checkpoint.name
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    checkpoint.rename(target)
