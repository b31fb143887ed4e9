"""Logits of saved Hugging Face folders, from a fresh process: what a user gets who loads those files.

The child reads a request `{"folders": {variant: path}, "samples": [[ids, start], …]}` and writes for each variant
`<variant>.npz` (one array of logits a sample) and `<variant>.sha256` (the loaded weights, before they were used).
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.child import run_python
from export.conversations import Sample
from stemma import ROOT
from stemma.weights import attention_of


@dataclass(frozen=True)
class Reloaded:
    """What a fresh process found in a folder."""

    logits: list[NDArray[np.float32]]
    digest: str


def reload(folders: dict[str, Path], samples: Sequence[Sample], scratch: Path) -> dict[str, Reloaded]:
    """Load each folder in a fresh process and score the samples. `scratch` is a folder for the exchange."""
    scratch.mkdir(parents=True, exist_ok=True)
    request = {"folders": {name: str(folder.resolve()) for name, folder in folders.items()}, "samples": samples}
    (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
    run_python(["-m", "export.score", str(scratch.resolve())], ROOT, f"loading {', '.join(folders)} in a fresh process")
    return {name: _read(scratch, name) for name in folders}


def _read(scratch: Path, name: str) -> Reloaded:
    with np.load(scratch / f"{name}.npz") as arrays:
        logits = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
    return Reloaded(logits, (scratch / f"{name}.sha256").read_text(encoding="utf-8").strip())


def main(scratch: Path) -> None:
    """The child: answer the request in `scratch`."""
    request = json.loads((scratch / "request.json").read_text(encoding="utf-8"))
    for name, folder in request["folders"].items():
        _score(name, folder, request["samples"], scratch)
        gc.collect()


def _score(name: str, folder: str, samples: Any, scratch: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from export.hf_folder import answer_logits, weights_digest

    # The reference is merged as stored, computed in float32; the others run as a user would run them.
    dtype = torch.float32 if name == "merged" else "auto"
    kernel = attention_of(Path(folder))
    model = AutoModelForCausalLM.from_pretrained(
        folder, device_map={"": "cpu"}, dtype=dtype, attn_implementation=kernel
    )
    digest = weights_digest(model)
    np.savez(scratch / f"{name}.npz", *answer_logits(model, samples))
    (scratch / f"{name}.sha256").write_text(digest + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
