"""The gate behind merging: merged is its adapter on its base, and merging lost little of it.

Both models are asked for their next-token predictions on real texts; what the adapter leaves alone
is compared file to file, since logits of some texts cannot show a changed rare row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from stemma import models
from stemma.errors import GateFailed
from stemma.gate import Gate, HandOver, demand, failed
from stemma.models import Agreement
from stemma.tensors import Tensors
from stemma.training.gates import Checked
from stemma.training.lora import Lora

MAX_LOGIT_DIFFERENCE = 1e-4
ROUNDING_KL = 1e-9
"""In float32 a merge differs by the order of additions alone. Thirty layers and logits above 20
make that 1.6e-4 of a logit (SmolLM2 135M), at a KL of 1.4e-11; a wrong weight shows in the KL long
before this."""
MAX_MERGE_KL = 1e-3
MIN_MERGE_TOP1 = 0.98
MAX_SHARE_OF_EFFECT = 0.05
"""The share of what the adapter moved the model that merging may move it at most."""
HEAD = "lm_head.weight"
"""A tied one need not be written."""

TEXT_TOKENS = 128
"""Of each text the merge gate reads so many, so that 32 texts of Gemma 2B take minutes on a CPU."""
MERGED = "merged"
"""The subject of these gates; export reads them by it where it takes the stage's weights."""
MERGING = "merging the adapter"


def merge_gate(start: Path, adapter: Path, merged: Path, texts: Sequence[Sequence[int]]) -> Checked:
    """Merged predicts what the adapter on its base does, on real texts (token ids).

    Merging moved the model by less than 5 % of what the adapter did, and every tensor that the
    adapter leaves alone is the base's, bit for bit. Raises GateFailed.

    The base and the merged model are loaded one after the other, in float32; what is kept of the
    first are hidden states of TEXT_TOKENS a text. Peak memory: one model in float32, the adapter,
    one text's activations, two tiles of logits (`stemma.models`) and what `models.LogitsCompared`
    takes. An adapter on the head keeps the base's head as well.
    """
    _demand_shapes(start, merged)
    untouched = _untouched(start, adapter, merged)
    texts = [ids[:TEXT_TOKENS] for ids in texts]
    adapted, head, effect = _adapted(start, adapter, texts)
    model = models.load_model(merged)
    agreement = models.compare(
        (models.logits_of(head or model, one), models.logits_of(model, other))
        for hidden, ids in zip(adapted, texts, strict=True)
        for one, other in _tiles(model, hidden, models.hidden_of(model, ids))
    )
    gates = merge_gates(agreement, effect, _stored_dtype(merged))
    changed = untouched["others_changed"]
    others = HandOver(MERGED, MERGING).at_most(
        "tensors that the adapter leaves alone and that changed", changed, 0, len(Tensors(merged))
    )
    blame = f"merging broke the model ({merged})"
    if failed(gates) == [gates[-1]] and not changed and effect.kl > 0:
        blame += f"; {agreement.kl / effect.kl:.0%} of what the adapter did is lost by rounding"
        blame += ": it hardly moved the model, so train it longer or at a higher rate"
    demand([*gates, others], blame)
    facts = {"merge": asdict(agreement) | untouched, "adapter_effect": asdict(effect)}
    return Checked(facts, [*gates, others])


def merge_gates(agreement: Agreement, effect: Agreement, dtype: torch.dtype) -> list[Gate]:
    """The gates of merged against the adapter on its base; last, the share of its `effect` lost."""
    hand_over = HandOver(MERGED, MERGING)
    n = agreement.positions
    kl = partial(hand_over.at_most, "mean KL to adapter-on-start, nats per token", agreement.kl)
    if dtype == torch.float32:
        # Only the order of additions differs. Large logits differ by more than any fixed figure:
        # then the KL decides alone.
        name = "largest logit difference to adapter-on-start"
        difference = hand_over.at_most(name, agreement.max_difference, MAX_LOGIT_DIFFERENCE, n)
        near = [difference, kl(MAX_MERGE_KL, n)] if difference.passed else [kl(ROUNDING_KL, n)]
    else:
        top1 = "top-1 agreement with adapter-on-start"
        near = [
            kl(MAX_MERGE_KL, n),
            hand_over.at_least(top1, agreement.top1, MIN_MERGE_TOP1, n),
        ]
    loss_of_nothing = math.inf if agreement.kl else 0.0
    lost = agreement.kl / effect.kl if effect.kl else loss_of_nothing
    name = "share of the adapter's effect lost"
    return [*near, hand_over.at_most(name, lost, MAX_SHARE_OF_EFFECT, n)]


def _adapted(
    start: Path, adapter: Path, texts: Sequence[Sequence[int]]
) -> tuple[list[torch.Tensor], Any | None, Agreement]:
    """The adapter on its base: the hidden states of each text, the head where it is not the base's
    own, and how far the adapter moves its base."""
    from peft import PeftModel

    adapted: Any = PeftModel.from_pretrained(models.load_model(start), str(adapter)).eval()
    model = adapted.get_base_model()
    kept: list[torch.Tensor] = []

    def bare(hidden: torch.Tensor) -> torch.Tensor:
        with adapted.disable_adapter():
            return models.logits_of(model, hidden)

    def pairs() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        for ids in texts:
            kept.append(models.hidden_of(model, ids))
            with adapted.disable_adapter():
                plain = models.hidden_of(model, ids)
            for one, other in _tiles(model, kept[-1], plain):
                yield models.logits_of(model, one), bare(other)

    effect = models.compare(pairs())
    return kept, _shell(model) if _head_is_adapted(model) else None, effect


def _head_is_adapted(model: Any) -> bool:
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    return any(isinstance(end, BaseTunerLayer | AuxiliaryTrainingWrapper) for end in ends)


def _shell(model: Any) -> Any:
    """The model without its layers: enough for its head."""
    for name, _ in list(model.base_model.named_children()):
        setattr(model.base_model, name, None)
    return model


def _tiles(
    model: Any, one: torch.Tensor, other: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Two models' hidden states of one text, as many at a time as may have logits."""
    rows = models.tile_rows(model)
    yield from zip(one.split(rows), other.split(rows), strict=True)


def _demand_shapes(start: Path, merged: Path) -> None:
    """Every tensor of the base is in merged, as large as it was.

    transformers would make up a lost one, and stop with a traceback at another shape.
    """
    after = {name: list(one.shape.sizes) for name, one in Tensors(merged).items()}
    strange = [
        f"{name} is {after.get(name, 'missing')} instead of {list(one.shape.sizes)}"
        for name, one in Tensors(start).items()
        if after.get(name, None if name != HEAD else list(one.shape.sizes)) != list(one.shape.sizes)
    ]
    if strange:
        count = f"{len(strange)} tensors are not as in {start}"
        raise GateFailed(f"merging broke the model ({merged}): {count}, e.g. {strange[0]}")


def _untouched(start: Path, adapter: Path, merged: Path) -> dict[str, int]:
    """How many tensors that the adapter leaves alone are bit for bit the start's, in merged's
    dtype, and how many are not."""
    counts = {"others_equal": 0, "others_changed": 0}
    touched = Lora(adapter).touched()
    before = Tensors(start)
    after = Tensors(merged)
    for name, new in after.items():
        if name not in touched and name in before:
            same = all(
                torch.equal(one.to(new.shape.dtype), other)
                for one, other in zip(before[name].pieces(), new.pieces(), strict=True)
            )
            counts["others_equal" if same else "others_changed"] += 1
    return counts


def _stored_dtype(folder: Path) -> torch.dtype:
    return next(iter(Tensors(folder).values())).shape.dtype
