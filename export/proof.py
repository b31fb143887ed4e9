"""The proof of every exported format: loaded as a user would, it answers like merged."""

from __future__ import annotations

from pathlib import Path

from export import budget_of
from export.bnb import DIGEST
from export.conversations import TriedConversations
from export.gguf_gates import gguf_gates
from export.parity import drift_gates
from export.score import Reloaded, reload
from stemma.gate import Gate, HandOver
from stemma.progress import phase, ticking
from stemma.recipe.sections import Gates
from stemma.stages import Work


def prove(
    work: Work, paths: dict[str, Path], trial: TriedConversations, threads: int
) -> list[Gate]:
    """Every gate of every format made from `merged` (`{variant: path}`, merged among them)."""
    folders = {name: path for name, path in paths.items() if not name.startswith("gguf-")}
    phase(work.say, f"export: loading {', '.join(folders)} in a fresh process")
    reference, loaded = reload(folders, trial.samples, work.folder / ".scores.part")
    limits = work.recipe.export.gates
    found = []
    for name, path in paths.items():
        if name.startswith("bnb-"):
            found += bnb_gates(path, loaded[name], limits)
        elif name.startswith("gguf-"):
            phase(work.say, f"export: loading {name}")
            with ticking():
                found += gguf_gates(path, trial, reference, budget_of(name, limits), threads)
    return found


def bnb_gates(folder: Path, loaded: Reloaded, limits: Gates) -> list[Gate]:
    """A fresh process found the weights that were saved, and they answer like merged."""
    name = folder.name
    changed = loaded.digest != (folder / DIGEST).read_text(encoding="utf-8").strip()
    return [
        HandOver(name, "saving").at_most("weights that differ from what was saved", changed, 0, 1),
        *drift_gates(HandOver(name, "quantising"), loaded.drift, budget_of(name, limits)),
    ]
