"""What every hand-over of weights must prove. Each gate returns its figures, or raises GateFailed with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from stemma.errors import GateFailed
from stemma.jsonl import read_json
from stemma.training_rows import TokenSequence
from stemma.weights import attention_of

MAX_LOGIT_DIFFERENCE = 1e-4
MAX_MERGE_KL = 1e-3
MIN_MERGE_TOP1 = 0.98
MAX_SHARE_OF_EFFECT = 0.05
"""How far merging may move the model, as a share of what the adapter itself moved it."""
MARGIN_TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-4, torch.float16: 1e-4}
"""Of the first step's margin, which must be 0, as a share of the summed log-probability: one rounding of it, and on a
GPU the kernels of a pass with gradients and one without."""
LOGP_TOLERANCE = {torch.float32: (1e-2, 1e-4), torch.bfloat16: (1.0, 2e-2), torch.float16: (0.5, 1e-2)}
"""(nats, share) by the dtype the trainer computed in, whatever the weights are stored in."""


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
    """Every targeted layer has a trained LoRA pair. B starts at zero, so B unlike zero differs from the start."""
    tensors = load_file(adapter / "adapter_model.safetensors")
    expected = _targets(start, read_json(adapter / "adapter_config.json")["target_modules"])
    b = {name: tensor for name, tensor in tensors.items() if ".lora_B." in name}
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
    weights; `dtype` is the trainer's."""
    model = _load(reference)
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
    """Merged = adapter on its base, on real texts; and merging moved less than 5 % of what the adapter did."""
    from peft import PeftModel

    base = _load(start)
    before = logits(base, texts)
    after = logits(PeftModel.from_pretrained(base, str(adapter)).eval(), texts)
    agreement = compare(after, logits(_load(merged), texts))
    effect = compare(after, before)
    figures = {"merge": agreement.figures(), "adapter_effect": effect.figures()}
    if _stored_dtype(merged) == torch.float32:
        near = agreement.max_difference <= MAX_LOGIT_DIFFERENCE
    else:
        near = agreement.kl <= MAX_MERGE_KL and agreement.top1 >= MIN_MERGE_TOP1
    if not near or agreement.kl > MAX_SHARE_OF_EFFECT * effect.kl:
        raise GateFailed(f"merging broke the model ({merged}): {figures}")
    return figures


def finite_gate(folder: Path) -> dict[str, int]:
    """No tensor of a model folder holds NaN or infinity."""
    counts = {"tensors": 0, "not_finite": 0}
    for path in folder.glob("*.safetensors"):
        for tensor in load_file(path).values():
            counts["tensors"] += 1
            counts["not_finite"] += not bool(torch.isfinite(tensor).all())
    if counts["not_finite"] or not counts["tensors"]:
        raise GateFailed(f"{folder} holds broken weights: {counts}")
    return counts


def logits(model: Any, texts: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """Next-token logits of every position, one tensor a text (unpadded, so that padding can hide nothing)."""
    with torch.no_grad():
        return [model(torch.tensor([list(ids)], device=model.device)).logits[0].float().cpu() for ids in texts]


def compare(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> Agreement:
    """Agreement of two models' logits on the same texts; KL(one || other) in nats a token."""
    kl, same = [], []
    for a, b in zip(one, other, strict=True):  # text by text: with Gemma's vocabulary all at once would take 30 GB
        p, q = a.double().log_softmax(-1), b.double().log_softmax(-1)
        kl.append((p.exp() * (p - q)).sum(-1).clamp(min=0))
        same.append(p.argmax(-1) == q.argmax(-1))
    apart = max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))
    return Agreement(apart, torch.cat(kl).mean().item(), torch.cat(same).double().mean().item(), len(torch.cat(kl)))


def _load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    kernel = attention_of(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=kernel)
    return model.to(device).eval()


def _stored_dtype(folder: Path) -> torch.dtype:
    with safe_open(next(iter(sorted(folder.glob("*.safetensors")))), "pt") as file:
        dtype: torch.dtype = file.get_tensor(next(iter(file.keys()))).dtype
        return dtype


def _targets(start: Path, modules: list[str]) -> list[str]:
    """The base's weights that a LoRA on `modules` covers."""
    names: list[str] = []
    for path in start.glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            names += file.keys()
    return [name for name in names if name.removesuffix(".weight").rsplit(".", 1)[-1] in modules]


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
    sums = []
    for row in _rows(batch):
        [scores] = logits(model, [row.ids])
        chosen = scores[:-1].double().log_softmax(-1).gather(-1, torch.tensor(row.ids[1:])[:, None])
        sums.append(chosen[row.border - 1 :].sum())
    return torch.stack(sums)
