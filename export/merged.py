"""Format `merged`: the adapter folded into its start in the recipe's dtype, and the proof that nothing was lost."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from export.conversations import Trial
from export.parity import Gate, HandOver
from export.publish import publish
from stemma.stages import Work
from stemma.templates import Template
from stemma.weights import weights_of


def make_merged(work: Work) -> Path:
    """Write `merged` from the stage that `export.from` names, or from the base itself."""
    work.say(f"export: merging {work.recipe.export.from_} in {work.recipe.export.merge.dtype}")
    return publish(work.folder / "merged", partial(_write, work))


def merge_gates(work: Work, merged: Path, trial: Trial) -> list[Gate]:
    """The adapter on its start against merged. Raises GateFailed when merging broke the model."""
    from stemma import gates

    adapter = _adapter(work)
    if adapter is None:
        return []
    texts = [ids for ids, _ in trial.samples]
    figures = gates.merge_gate(_start(work), adapter, merged, texts)
    merge, effect = figures["merge"], figures["adapter_effect"]
    hand_over, n = HandOver("merged", "merging the adapter"), merge["positions"]
    lost = merge["kl"] / effect["kl"]
    return [
        hand_over.at_most("mean KL to adapter-on-start, nats per token", merge["kl"], gates.MAX_MERGE_KL, n),
        hand_over.at_least("top-1 agreement with adapter-on-start", merge["top1"], gates.MIN_MERGE_TOP1, n),
        hand_over.at_most("share of the adapter's effect lost", lost, gates.MAX_SHARE_OF_EFFECT, n),
    ]


def _write(work: Work, out: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from stemma.merge import write_model

    start, adapter = _start(work), _adapter(work)
    # Added in float32 and cast once: adding in 16 bits rounds twice.
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32, device_map={"": "cpu"})
    if adapter:
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    model = model.to(getattr(torch, work.recipe.export.merge.dtype))
    write_model(model, start, out, Template.read(work.recipe.template, start))


def _adapter(work: Work) -> Path | None:
    name = work.recipe.export.from_
    return None if name == "base" else work.input(name, "adapter")


def _start(work: Work) -> Path:
    """The weights the exported adapter was trained on."""
    name = work.recipe.export.from_
    return weights_of(work, "base" if name == "base" else work.recipe.stage(name).start_from)
