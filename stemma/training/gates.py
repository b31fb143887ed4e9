"""What every hand-over of weights must prove. Each gate returns its figures, or raises GateFailed with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from stemma.errors import GateFailed
from stemma.jsonl import read_json
from stemma.targets import Targets
from stemma.tensors import Tensors
from stemma.training.lora import Lora
from stemma.training.rows import TokenSequence

MAX_LOGIT_DIFFERENCE = 1e-4
ROUNDING_KL = 1e-9
"""In float32 a merge differs by the order of additions alone. Thirty layers and logits above 20 make that 1.6e-4 of
a logit (SmolLM2 135M), at a KL of 1.4e-11; a wrong weight shows in the KL long before this."""
MAX_MERGE_KL = 1e-3
MIN_MERGE_TOP1 = 0.98
MAX_SHARE_OF_EFFECT = 0.05
"""How far merging may move the model, as a share of what the adapter itself moved it."""
MARGIN_TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-4, torch.float16: 1e-4}
"""Of the first step's margin, which must be 0, as a share of the summed log-probability: one rounding of it, and on a
GPU the kernels of a pass with gradients and one without."""
LOGP_TOLERANCE = {torch.float32: (1e-2, 1e-4), torch.bfloat16: (1.0, 2e-2), torch.float16: (0.5, 1e-2)}
"""(nats, share) by the dtype the trainer computed in, whatever the weights are stored in."""

HEAD = "lm_head.weight"
"""A tied one need not be written."""

TEXT_TOKENS = 128
"""Of each text the merge gate reads so many, so that 32 texts of Gemma 2B take minutes on a CPU."""
COMPARED = 8
"""Positions whose logits are compared at once, in float64: 3 x 16 MB with Gemma's vocabulary."""


@dataclass(frozen=True)
class Agreement:
    """How near one model's next-token predictions are to another's, over all positions of some texts."""

    max_difference: float
    kl: float
    top1: float
    positions: int

    def figures(self) -> dict[str, float | int]:
        return asdict(self)


def adapter_gate(start: Path, adapter: Path) -> dict[str, Any]:
    """Every targeted layer has a trained LoRA pair. B starts at zero (an embedding's A does), so B unlike
    zero differs from the start."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    expected = Targets.of_adapter(read_json(adapter / "adapter_config.json")).among(Tensors(start))
    b = {name: tensor for name, tensor in tensors.items() if ".lora_B." in name or ".lora_embedding_A" in name}
    figures = {
        "lora_pairs": len(b),
        "expected_pairs": len(expected),
        "not_finite": sum(not bool(torch.isfinite(tensor).all()) for tensor in tensors.values()),
        "zero_b": sum(not bool(tensor.any()) for tensor in b.values()),
    }
    if not b or figures["lora_pairs"] != figures["expected_pairs"] or figures["not_finite"] or figures["zero_b"]:
        raise GateFailed(f"training left a broken adapter in {adapter}: {figures}")
    return figures


def count_gate(stage: str, expected: tuple[int, int] | str, marker: dict[str, Any]) -> dict[str, Any]:
    """The trainer trained as many weights, of as many, as `stemma plan` computes; or the reason why it cannot."""
    if isinstance(expected, str):
        return {"weights_not_counted": expected}
    found = marker["trainable_parameters"], marker["parameters"]
    if found != expected:
        figures = "{:,} of {:,} weights".format
        raise GateFailed(
            f"{stage}: the trainer trained {figures(*found)}; by the model's shapes and the recipe it is "
            f"{figures(*expected)}"
        )
    return {"counted": {"trained": found[0], "planned": expected[0], "of": found[1]}}


def batch_gate(batches: Sequence[Path], sequences: set[TokenSequence]) -> dict[str, Any]:
    """The first batch the trainer saw holds rows as we wrote them: same tokens, same border, nothing added or cut."""
    rows = [row for path in batches for row in _rows(load_file(path))]
    strange = [row for row in rows if row not in sequences]
    if strange or not rows:
        where = f"; the first: {list(strange[0].ids)}, trained from {strange[0].border}" if strange else ""
        raise GateFailed(f"{len(strange)} of the {len(rows)} sequences in the first batch were never written{where}")
    return {"first_batch_sequences": len(rows), "as_written": len(rows)}


def reference_gate(reference: Path, batches: Sequence[Path], said: dict[str, float], dtype: str) -> dict[str, Any]:
    """DPO started at its reference: first margins 0, and log-probabilities equal to our own, in float32, of the stated
    weights; `dtype` is the trainer's.

    Peak: the reference in float32, one sequence's activations and a tile of logits (`stemma.models`)."""
    from stemma import models

    model = models.load_model(reference)
    chosen, rejected = zip(*(_sums(model, load_file(path)).chunk(2) for path in batches), strict=True)
    ours = {"chosen": torch.cat(chosen).mean().item(), "rejected": torch.cat(rejected).mean().item()}
    computed = getattr(torch, dtype)
    nats, share = LOGP_TOLERANCE[computed]
    figures: dict[str, Any] = {"first_margin": said["rewards/margins"], "tolerance": f"{nats} nats + {share:.2%}"}
    for side, value in ours.items():
        figures[f"logps/{side}"] = {"trainer": said[f"logps/{side}"], "stated reference": value}
    apart = [side for side, value in ours.items() if abs(said[f"logps/{side}"] - value) > nats + share * abs(value)]
    if "reference/apart" in said:  # computed before training, and compared with this batch's own by the trainer
        figures["precomputed_apart"] = said["reference/apart"]
        apart += ["precomputed"] * (said["reference/apart"] > nats + share * max(map(abs, ours.values())))
    rounding = MARGIN_TOLERANCE[computed] * max(1.0, *map(abs, ours.values()))
    if apart or abs(said["rewards/margins"]) > rounding:
        what = " and ".join(apart) or "margin not 0"
        raise GateFailed(f"DPO did not start at its stated reference {reference} ({what}): {figures}")
    return figures


def merge_gate(start: Path, adapter: Path, merged: Path, texts: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Merged = adapter on its base, on real texts; merging moved less than 5 % of what the adapter did; and every
    tensor that the adapter leaves alone is the base's.

    The base and the merged model are loaded one after the other, in float32; what is kept of the first are hidden
    states of TEXT_TOKENS a text. Peak: one model in float32, the adapter, one text's activations, two tiles of logits
    (`stemma.models`) and COMPARED positions thrice in float64. An adapter on the head keeps the base's head as well.
    """
    from stemma import models

    _demand_shapes(start, merged)
    equal = _untouched(start, adapter, merged)
    texts = [ids[:TEXT_TOKENS] for ids in texts]
    adapted, head, effect = _adapted(start, adapter, texts)
    model = models.load_model(merged)
    agreement = compare(
        (models.logits_of(head or model, one), models.logits_of(model, other))
        for hidden, ids in zip(adapted, texts, strict=True)
        for one, other in _tiles(model, hidden, models.hidden_of(model, ids))
    )
    figures = {"merge": agreement.figures() | equal, "adapter_effect": effect.figures()}
    if _stored_dtype(merged) == torch.float32:
        near = agreement.max_difference <= MAX_LOGIT_DIFFERENCE or agreement.kl <= ROUNDING_KL
    else:
        near = agreement.kl <= MAX_MERGE_KL and agreement.top1 >= MIN_MERGE_TOP1
    kept = agreement.kl <= MAX_SHARE_OF_EFFECT * effect.kl  # false for NaN
    if not near or not kept or equal["others_changed"]:
        told = f"merging broke the model ({merged})"
        if near and not equal["others_changed"] and effect.kl > 0:
            share = f"{agreement.kl / effect.kl:.0%} of what the adapter did is lost by rounding"
            told += f"; {share}: it hardly moved the model, so train it longer or at a higher rate"
        raise GateFailed(f"{told}: {figures}")
    return figures


def finite_gate(folder: Path) -> dict[str, int]:
    """No tensor of a model folder holds NaN or infinity. A few megabytes are read at a time."""
    counts = {"tensors": 0, "not_finite": 0}
    for stored in Tensors(folder).values():
        counts["tensors"] += 1
        counts["not_finite"] += not all(bool(torch.isfinite(piece).all()) for piece in stored.pieces())
    if counts["not_finite"] or not counts["tensors"]:
        raise GateFailed(f"{folder} holds broken weights: {counts}")
    return counts


def compare(pairs: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> Agreement:
    """Agreement of two models' logits, a few positions of both at a time; KL(one || other) in nats a token."""
    # Plain numbers: small tensors that stay would each pin a hole of the heap where large ones were.
    kl, same, positions, apart = 0.0, 0, 0, [0.0]
    for one, other in pairs:
        for a, b in zip(one.split(COMPARED), other.split(COMPARED), strict=True):
            p, q = a.double().log_softmax(-1), b.double().log_softmax(-1)
            same += int((p.argmax(-1) == q.argmax(-1)).sum())
            q.sub_(p).neg_()
            kl += float(p.exp_().mul_(q).sum(-1).clamp(min=0).sum())
            apart.append(float((a - b).abs().max()))
            positions += len(a)
        del one, other, a, b, p, q  # before the next are made
    furthest = float(torch.tensor(apart).max())  # NaN stays NaN, as it does not with Python's max
    return Agreement(furthest, kl / positions, same / positions, positions)


def _adapted(
    start: Path, adapter: Path, texts: Sequence[Sequence[int]]
) -> tuple[list[torch.Tensor], Any | None, Agreement]:
    """Of the adapter on its base: the hidden states of each text, the head where it is not the base's own, and how
    far the adapter moves its base."""
    from peft import PeftModel

    from stemma import models

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

    effect = compare(pairs())
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


def _tiles(model: Any, one: torch.Tensor, other: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Two models' hidden states of one text, as many at a time as may have logits."""
    from stemma.models import tile_rows

    yield from zip(one.split(tile_rows(model)), other.split(tile_rows(model)), strict=True)


def _demand_shapes(start: Path, merged: Path) -> None:
    """Every tensor of the base is in merged, as large as it was: transformers would make up a lost one, and stop with a
    traceback at another shape."""
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
    """How many tensors that the adapter leaves alone are, in merged's dtype, bit for bit the start's."""
    counts = {"others_equal": 0, "others_changed": 0}
    touched, before, after = Lora(adapter).touched(), Tensors(start), Tensors(merged)
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


def _rows(batch: dict[str, torch.Tensor]) -> list[TokenSequence]:
    """A padded batch as the sequences it holds: SFT marks the trained tokens in `labels`, DPO in `completion_mask`."""
    trained = batch["completion_mask"].bool() if "completion_mask" in batch else batch["labels"] != -100
    rows = []
    for ids, mask, answer in zip(batch["input_ids"], batch["attention_mask"].bool(), trained, strict=True):
        answer = answer[mask]
        border = int(answer.nonzero()[0]) if answer.any() else len(answer)
        rows.append(TokenSequence(tuple(ids[mask].tolist()), border))
    return rows


def _sums(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed log-probability of each sequence's answer, one sequence at a time."""
    from stemma import models

    sums = []
    for row in _rows(batch):
        first = max(row.border, 1)
        hidden = models.hidden_of(model, row.ids)[first - 1 : -1]
        answer = torch.tensor(row.ids[first:], device=hidden.device)
        where = torch.arange(len(answer), device=hidden.device)
        sums.append(models.log_probs(model, hidden, where, answer).double().sum())
    return torch.stack(sums)
