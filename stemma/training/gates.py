"""The gates of a training stage: what an adapter, its first batch and its merged model must prove.

Each gate returns what it measured and its verdicts (`Checked`), or raises GateFailed with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from stemma import models
from stemma.gate import Gate, HandOver, demand, recorded
from stemma.jsonl import read_json
from stemma.targets import Targets
from stemma.tensors import Tensors
from stemma.training.rows import TokenSequence

MARGIN_TOLERANCE = {torch.float32: 1e-6, torch.bfloat16: 1e-4, torch.float16: 1e-4}
"""Of the first step's margin, which must be 0, as a share of the summed log-probability: one
rounding of it, and on a GPU the kernels of a pass with gradients and one without."""
LOGP_TOLERANCE = {
    torch.float32: (1e-2, 1e-4),
    torch.bfloat16: (1.0, 2e-2),
    torch.float16: (0.5, 1e-2),
}
"""(nats, share) by the dtype the trainer computed in, whatever the weights are stored in."""

NOT_FINITE = "tensors with NaN or infinity"
FIRST_BATCH = "sequences of the first batch exactly as written"


@dataclass(frozen=True)
class Checked:
    """A hand-over that passed: what was measured, for the manifest's facts, and its gates."""

    facts: dict[str, Any]
    gates: list[Gate]


def facts_of(checked: Iterable[Checked]) -> dict[str, Any]:
    """What was checked as a manifest's facts: the figures by name, the gates in one list."""
    facts: dict[str, Any] = {"gates": []}
    for one in checked:
        facts |= one.facts
        facts["gates"] += recorded(one.gates)
    return facts


def adapter_gate(start: Path, adapter: Path) -> Checked:
    """Every targeted layer of `start` has a trained LoRA pair, without NaN or infinity.

    LoRA's B starts at zero (of an embedding's pair it is A), so a B unlike zero has been trained.
    Raises GateFailed.
    """
    tensors = load_file(adapter / "adapter_model.safetensors")
    targets = Targets.of_adapter(read_json(adapter / "adapter_config.json"))
    expected = len(targets.among(Tensors(start)))
    starts_at_zero = (".lora_B.", ".lora_embedding_A")
    trained = [
        tensor for name, tensor in tensors.items() if any(mark in name for mark in starts_at_zero)
    ]
    figures = {
        "lora_pairs": len(trained),
        "expected_pairs": expected,
        "not_finite": sum(not bool(torch.isfinite(one).all()) for one in tensors.values()),
        "zero_b": sum(not bool(tensor.any()) for tensor in trained),
    }
    hand_over = HandOver("adapter", "training")
    gates = [
        hand_over.exactly("trained LoRA pairs", len(trained), expected, expected),
        hand_over.at_most(NOT_FINITE, figures["not_finite"], 0, len(tensors)),
        hand_over.at_most("LoRA B matrices left at zero", figures["zero_b"], 0, len(trained)),
    ]
    demand(gates, f"training left a broken adapter in {adapter}")
    return Checked({"adapter": figures}, gates)


def count_gate(stage: str, expected: tuple[int, int] | str, found: tuple[int, int]) -> Checked:
    """The trainer trained as many weights, of as many in all, as the model's shapes say.

    `found` is (trained, in all) by the trainer; `expected` the same by the shapes, or the reason
    why that cannot be counted. Raises GateFailed.
    """
    hand_over = HandOver("adapter", "training")
    trained_name = "trained weights, by the trainer and by the model's shapes"
    if isinstance(expected, str):
        not_counted = hand_over.not_made(trained_name, "exactly", expected)
        return Checked({"weights_not_counted": expected}, [not_counted])
    trained, in_all = found
    gates = [
        hand_over.exactly(trained_name, trained, expected[0], in_all),
        hand_over.exactly("weights in all, by both", in_all, expected[1], in_all),
    ]
    demand(gates, f"{stage}: the trainer trained other weights than the recipe names")
    return Checked({"counted": {"trained": trained, "planned": expected[0], "of": in_all}}, gates)


def batch_gate(batches: Sequence[Path], sequences: set[TokenSequence]) -> Checked:
    """The first batch the trainer saw holds rows as we wrote them: nothing added, cut or moved.

    Raises GateFailed with the first sequence that was never written.
    """
    rows = [row for path in batches for row in _rows(load_file(path))]
    strange = [row for row in rows if row not in sequences]
    as_written = len(rows) - len(strange)
    hand_over = HandOver("first batch", "feeding the trainer")
    gates = [hand_over.exactly(FIRST_BATCH, as_written, len(rows), len(rows))]
    blame = f"{len(strange)} of the {len(rows)} sequences in the first batch were never written"
    if strange:
        blame += f"; the first: {list(strange[0].ids)}, trained from {strange[0].border}"
    demand(gates, blame)
    figures = {"first_batch_sequences": len(rows), "as_written": as_written}
    return Checked({"first_batch": figures}, gates)


def packed_batch() -> Checked:
    """The batch gate of a packed training, where it cannot be made."""
    reason = "packed: rows cannot be told apart, so they are not compared"
    hand_over = HandOver("first batch", "feeding the trainer")
    return Checked({"first_batch": reason}, [hand_over.not_made(FIRST_BATCH, "exactly", reason)])


def reference_gate(
    reference: Path, batches: Sequence[Path], said: dict[str, float], dtype: str
) -> Checked:
    """DPO started at the reference it states.

    The first step's margin is 0, and the trainer's log-probabilities (`said`, computed in `dtype`)
    equal our own of the stated weights, computed in float32. Raises GateFailed.

    Peak memory: the reference in float32, one sequence's activations and a tile of logits
    (`stemma.models`).
    """
    ours = _own_log_probs(reference, batches)
    count = len(ours["chosen"])
    means = {side: sums.mean().item() for side, sums in ours.items()}
    computed = getattr(torch, dtype)
    nats, share = LOGP_TOLERANCE[computed]
    largest = max(map(abs, means.values()))
    hand_over = HandOver("reference", "starting DPO")

    margin = abs(said["rewards/margins"])
    rounding = MARGIN_TOLERANCE[computed] * max(1.0, largest)
    gates = [hand_over.at_most("first-step reward margin, either way", margin, rounding, count)]
    figures: dict[str, Any] = {
        "first_margin": said["rewards/margins"],
        "tolerance": f"{nats} nats + {share:.2%}",
    }
    for side, mean in means.items():
        stated = said[f"logps/{side}"]
        figures[f"logps/{side}"] = {"trainer": stated, "stated reference": mean}
        name = f"first-step log p of {side}: trainer against the stated reference, nats apart"
        tolerance = nats + share * abs(mean)
        gates.append(hand_over.at_most(name, abs(stated - mean), tolerance, count))
    if "reference/apart" in said:
        # Computed before training, and compared with this batch's own by the trainer.
        apart = said["reference/apart"]
        figures["precomputed_apart"] = apart
        name = "precomputed log p against the first batch's own, nats apart"
        gates.append(hand_over.at_most(name, apart, nats + share * largest, count))
    demand(gates, f"DPO did not start at its stated reference {reference}")
    return Checked({"reference": figures}, gates)


def _own_log_probs(reference: Path, batches: Sequence[Path]) -> dict[str, torch.Tensor]:
    """The summed log-probability of each answer in the first batch, by our own computation."""
    model = models.load_model(reference)
    pairs = [_sums(model, load_file(path)).chunk(2) for path in batches]
    return {
        "chosen": torch.cat([chosen for chosen, _ in pairs]),
        "rejected": torch.cat([rejected for _, rejected in pairs]),
    }


def finite_gate(folder: Path) -> Checked:
    """No tensor of a model folder holds NaN or infinity. A few megabytes are read at a time.

    Raises GateFailed.
    """
    counts = {"tensors": 0, "not_finite": 0}
    for stored in Tensors(folder).values():
        counts["tensors"] += 1
        counts["not_finite"] += not all(bool(torch.isfinite(one).all()) for one in stored.pieces())
    hand_over = HandOver("weights", "training")
    gates = [hand_over.at_most(NOT_FINITE, counts["not_finite"], 0, counts["tensors"])]
    demand(gates, f"{folder} holds broken weights")
    return Checked({"weights": counts}, gates)


def _rows(batch: dict[str, torch.Tensor]) -> list[TokenSequence]:
    """A padded batch as the sequences it holds.

    SFT marks the trained tokens in `labels`, DPO in `completion_mask`.
    """
    answers = batch.get("completion_mask")
    trained = batch["labels"] != -100 if answers is None else answers.bool()
    rows = []
    for ids, mask, answer in zip(
        batch["input_ids"], batch["attention_mask"].bool(), trained, strict=True
    ):
        answer = answer[mask]
        border = int(answer.nonzero()[0]) if answer.any() else len(answer)
        rows.append(TokenSequence(tuple(ids[mask].tolist()), border))
    return rows


def _sums(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Summed log-probability of each sequence's answer, one sequence at a time."""
    sums = []
    for row in _rows(batch):
        first = max(row.border, 1)
        hidden = models.hidden_of(model, row.ids)[first - 1 : -1]
        answer = torch.tensor(row.ids[first:], device=hidden.device)
        where = torch.arange(len(answer), device=hidden.device)
        sums.append(models.log_probs(model, hidden, where, answer).double().sum())
    return torch.stack(sums)
