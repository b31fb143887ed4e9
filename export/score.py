"""Logits of saved Hugging Face folders, from a fresh process: what users of those files get.

The process reads a request `{"folders": {variant: path}, "samples": [[ids, start], …]}`, merged
first. Its logits go to a file, one sample behind the other (with Gemma's vocabulary 1 MB a token, 1
GB for 32 samples); every other folder is compared with them sample by sample, and leaves figures
only: `<variant>.json`, the drift and the digest of the loaded weights, before they were used.

Peak memory of the process: one model (merged in float32, the others as they are), and two samples'
logits; of its parent, one sample's.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.conversations import Sample
from export.hf_folder import answer_logits, weights_digest
from stemma import ROOT
from stemma.heard import FILE, Hearing, Telling
from stemma.models import Agreement, compare, load_as_stored, load_model
from stemma.processes import run_python
from stemma.progress import At

REFERENCE = "merged"


@dataclass(frozen=True)
class Reloaded:
    """A folder as a fresh process found it: its weights, and how far it answers from merged."""

    digest: str
    drift: Agreement


@dataclass(frozen=True)
class Scored:
    """Merged's logits on the samples, in a file: read as often as needed, one sample at a time."""

    path: Path
    lengths: Sequence[int]
    """Of each sample how many rows of logits there are."""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        width = self.path.stat().st_size // (4 * sum(self.lengths))
        with self.path.open("rb") as file:
            for length in self.lengths:
                values = np.fromfile(file, dtype=np.float32, count=length * width)
                yield values.reshape(length, width)


def reload(
    folders: dict[str, Path], samples: Sequence[Sample], scratch: Path
) -> tuple[Scored, dict[str, Reloaded]]:
    """Load each folder in a fresh process and score the samples, merged first. `scratch` is a
    folder for the exchange, and keeps merged's logits."""
    scratch.mkdir(parents=True, exist_ok=True)
    request = {
        "folders": {name: str(folder.resolve()) for name, folder in folders.items()},
        "samples": samples,
    }
    (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
    doing = f"loading {', '.join(folders)} in a fresh process"
    hearing = Hearing(scratch / FILE)
    run_python(["-m", "export.score", str(scratch.resolve())], ROOT, doing, hearing.look)
    reloaded = {name: _read(scratch, name) for name in folders if name != REFERENCE}
    return scored(scratch, samples), reloaded


def scored(scratch: Path, samples: Sequence[Sample]) -> Scored:
    return Scored(scratch / f"{REFERENCE}.f32", [len(ids) - start for ids, start in samples])


def _read(scratch: Path, name: str) -> Reloaded:
    found = json.loads((scratch / f"{name}.json").read_text(encoding="utf-8"))
    return Reloaded(found["digest"], Agreement(**found["drift"]))


def main(scratch: Path) -> None:
    """Answer the request in `scratch`, as a process of its own."""
    request = json.loads((scratch / "request.json").read_text(encoding="utf-8"))
    samples = request["samples"]
    folders = request["folders"]
    telling = Telling(scratch / FILE)
    telling.tell(At("proving", 0, len(folders), "folders", REFERENCE))
    write_reference(Path(folders[REFERENCE]), samples, scratch)
    for number, (name, folder) in enumerate(folders.items()):
        if name != REFERENCE:
            telling.tell(At("proving", number, len(folders), "folders", name))
            gc.collect()
            _compare(name, Path(folder), samples, scratch)


def write_reference(folder: Path, samples: Any, scratch: Path) -> None:
    """Merged as stored, computed in float32."""
    model = load_model(folder).cpu()
    with scored(scratch, samples).path.open("wb") as file:
        for logits in answer_logits(model, samples):
            # numpy's tofile does not say why a disk took no more.
            file.write(np.ascontiguousarray(logits).data)


def _compare(name: str, folder: Path, samples: Any, scratch: Path) -> None:
    """A variant as a user would run it."""
    model = load_as_stored(folder, "cpu")
    digest = weights_digest(model)
    drift = compare(zip(scored(scratch, samples), answer_logits(model, samples), strict=True))
    found = {"digest": digest, "drift": asdict(drift)}
    (scratch / f"{name}.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
