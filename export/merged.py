"""Format `merged`: the adapter folded into its start in the recipe's dtype, and the proof that nothing was lost."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from export.conversations import Trial
from export.parity import Gate, HandOver
from stemma.files import publish
from stemma.runs import digests_of_weights
from stemma.stages import Work
from stemma.templates import Template
from stemma.training.merge import Merge, write_merged
from stemma.weights import weights_of


def make_merged(work: Work) -> Path:
    """Write `merged` from the stage that `export.from` names, or from the base itself."""
    work.say(f"export: merging {work.recipe.export.from_} in {work.recipe.export.merge.dtype}")
    return publish(work.folder / "merged", partial(_write, work))


def merge_gates(work: Work, merged: Path, trial: Trial) -> list[Gate]:
    """The adapter on its start against merged. Raises GateFailed when merging broke the model.

    Where the stage has handed over the very same weights, its own figures hold, and nothing is computed again.
    """
    from stemma.training import gates

    adapter = _adapter(work)
    if adapter is None:
        return []
    figures = _stage_figures(work, merged)
    if figures is None:
        figures = gates.merge_gate(_start(work), adapter, merged, [ids for ids, _ in trial.samples])
    merge, effect = figures["merge"], figures["adapter_effect"]
    hand_over, n = HandOver("merged", "merging the adapter"), merge["positions"]
    lost = merge["kl"] / effect["kl"]
    return [
        hand_over.at_most("mean KL to adapter-on-start, nats per token", merge["kl"], gates.MAX_MERGE_KL, n),
        hand_over.at_least("top-1 agreement with adapter-on-start", merge["top1"], gates.MIN_MERGE_TOP1, n),
        hand_over.at_most("share of the adapter's effect lost", lost, gates.MAX_SHARE_OF_EFFECT, n),
    ]


def _write(work: Work, out: Path) -> None:
    start = _start(work)
    merge = Merge(start, _adapter(work), work.recipe.export.merge.dtype)
    write_merged(merge, out, Template.read(work.recipe.template, start))


def _stage_figures(work: Work, merged: Path) -> dict[str, Any] | None:
    """What the stage's own merge gate found, if its merged weights are these, byte for byte."""
    stage = work.recipe.export.from_
    facts = work.run.manifest(stage).facts
    if "merge" not in facts or digests_of_weights(weights_of(work, stage)) != digests_of_weights(merged):
        return None
    return {name: facts[name] for name in ("merge", "adapter_effect")}


def _adapter(work: Work) -> Path | None:
    name = work.recipe.export.from_
    return None if name == "base" else work.input(name, "adapter")


def _start(work: Work) -> Path:
    """The weights the exported adapter was trained on."""
    name = work.recipe.export.from_
    return weights_of(work, "base" if name == "base" else work.recipe.stage(name).start_from)
