"""Format `merged`: the adapter folded into its start in the recipe's dtype, and its gates.

Where the training stage has handed over the model in that dtype already, its folder is taken, and
nothing is merged or loaded again.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path

from export.conversations import TriedConversations
from stemma.digests import digests_of_weights
from stemma.files import publish
from stemma.gate import Gate, read_gates
from stemma.jsonl import read_json
from stemma.progress import phase, show, ticking
from stemma.stages import Work
from stemma.templates import Template
from stemma.training.merge import MergeParts, leave_out_code, write_merged
from stemma.weights import weights_of


def make_merged(work: Work) -> Path:
    """Write `merged` from the stage that `export.from` names, or from the base itself."""
    stage = work.recipe.export.from_
    dtype = work.recipe.export.merge.dtype
    if stage != "base" and is_stored_in(dtype, weights_of(work, stage)):
        phase(work.say, f"export: taking the merged model of {stage}, which is {dtype} already")
        return publish(work.folder / "merged", partial(_take_over, weights_of(work, stage)))
    phase(work.say, f"export: merging {stage} in {dtype}")
    with ticking():
        return publish(work.folder / "merged", partial(_write, work))


def is_stored_in(dtype: str, folder: Path) -> bool:
    """Whether every weight of a model folder is in `dtype`, and its config says so."""
    import torch

    from stemma.tensors import Tensors

    stored = {one.shape.dtype for one in Tensors(folder).values()}
    floats = {found for found in stored if found.is_floating_point}
    if floats != {getattr(torch, dtype)}:
        return False
    return bool(read_json(folder / "config.json").get("dtype") == dtype)


def merged_gates(work: Work, merged: Path, trial: TriedConversations) -> list[Gate]:
    """The adapter on its start against merged. Raises GateFailed when merging broke the model.

    Where the stage has handed over the very same weights, its own gates hold, and nothing is
    computed again.
    """
    from stemma.training.merge_gate import merge_gate

    adapter = _adapter(work)
    if adapter is None:
        return []
    found = _gates_of_stage(work, merged)
    if not found:
        show("comparing merged with the adapter on its start")
        with ticking():
            texts = [ids for ids, _ in trial.samples]
            found = merge_gate(_start(work), adapter, merged, texts).gates
    return found


def _take_over(source: Path, out: Path) -> None:
    """Make the folder `out` of the files in `source`, weights by hard link where the disk can.

    Weights are large and nobody writes into them; the small files are copied, since an editor may
    change them in place.
    """
    out.mkdir()
    for file in source.iterdir():
        if file.suffix == ".safetensors":
            with suppress(OSError):  # another file system, or one without hard links
                (out / file.name).hardlink_to(file)
                continue
        shutil.copyfile(file, out / file.name)
    leave_out_code(out)


def _write(work: Work, out: Path) -> None:
    start = _start(work)
    merge = MergeParts(start, _adapter(work), work.recipe.export.merge.dtype)
    write_merged(merge, out, Template.read(work.recipe.template, start))


def _gates_of_stage(work: Work, merged: Path) -> list[Gate]:
    """The stage's own merge gates, if its merged weights are these, byte for byte; else none."""
    from stemma.training.merge_gate import MERGED

    stage = work.recipe.export.from_
    gates = read_gates(work.run.manifest(stage).facts.get("gates")) or []
    if digests_of_weights(weights_of(work, stage)) != digests_of_weights(merged):
        return []
    return [gate for gate in gates if gate.subject == MERGED]


def _adapter(work: Work) -> Path | None:
    name = work.recipe.export.from_
    return None if name == "base" else work.input(name, "adapter")


def _start(work: Work) -> Path:
    """The weights the exported adapter was trained on."""
    name = work.recipe.export.from_
    return weights_of(work, "base" if name == "base" else work.recipe.stage(name).start_from)
