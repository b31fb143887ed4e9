"""The gates as one table: those of the training stages (facts of their manifests) and the export's `gates.json`.

A stage whose gate fails leaves no manifest, so every gate of a training stage that is seen here has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from report.evidence import TRAINED, Evidence
from report.readable import anything, number, spoken

Facts = dict[str, Any]
Check = tuple[str, float, str, int | None]
"""(what was checked, the figure, its limit in words, on how many)"""


@dataclass(frozen=True)
class GateRow:
    """One check of a hand-over: where, what was measured on how many, against which limit."""

    stage: str
    variant: str
    check: str
    measured: str
    limit: str
    n: str
    passed: bool


def gate_rows(evidence: Evidence) -> list[GateRow]:
    """Every gate of the run, in chain order."""
    found = [row for stage, manifest in evidence.manifests.items() for row in _training(stage, manifest.facts)]
    return found + [_exported(gate) for gate in evidence.gates]


def _training(stage: str, facts: Facts) -> Iterator[GateRow]:
    for name, checks in CHECKS.items():
        if stage in TRAINED and name in facts:
            for check, measured, limit, n in checks(facts):
                yield GateRow(stage, "", check, number(measured), limit, "" if n is None else number(n), True)


def _exported(gate: Facts) -> GateRow:
    measured, limit, passed = gate["measured"], gate["limit"], gate["passed"]
    words = limit_words(measured, limit, passed)
    return GateRow("export", gate["variant"], gate["gate"], number(measured), words, number(gate["n"]), passed)


def limit_words(measured: float, limit: float, passed: bool) -> str:
    """`≤ 0.2` or `≥ 0.98`: on which side the figure has to lie follows from where it lies and whether it passed."""
    if measured == limit:
        return number(limit)
    return f"{'≤' if (measured < limit) == passed else '≥'} {number(limit)}"


def _weights(facts: Facts) -> list[Check]:
    return [("tensors with NaN or infinity", facts["weights"]["not_finite"], "0", facts["weights"]["tensors"])]


def _adapter(facts: Facts) -> list[Check]:
    adapter = facts["adapter"]
    pairs = adapter["lora_pairs"]
    return [
        ("trained LoRA pairs", pairs, number(adapter["expected_pairs"]), None),
        ("adapter tensors with NaN or infinity", adapter["not_finite"], "0", 2 * pairs),
        ("LoRA B matrices left at zero", adapter["zero_b"], "0", pairs),
    ]


def _first_batch(facts: Facts) -> list[Check]:
    batch = facts["first_batch"]
    told = "sequences of the first batch exactly as written"
    return [(told, batch["as_written"], number(batch["first_batch_sequences"]), batch["first_batch_sequences"])]


def _reference(facts: Facts) -> list[Check]:
    reference = facts["reference"]
    checks: list[Check] = [("first-step reward margin", reference["first_margin"], "0", None)]
    for side in ("chosen", "rejected"):
        pair = reference[f"logps/{side}"]
        told = f"first-step log p of {side}: trainer minus stated reference"
        checks.append((told, pair["trainer"] - pair["stated reference"], f"within {reference['tolerance']}", None))
    return checks


def _merge(facts: Facts) -> list[Check]:
    merge, effect = facts["merge"], facts["adapter_effect"]
    far = f"the adapter's own effect: {number(effect['kl'])}"
    return [
        ("merged against adapter on base: mean KL", merge["kl"], far, merge["positions"]),
        ("merged against adapter on base: top-1 agreement", merge["top1"], "", merge["positions"]),
        ("merged against adapter on base: largest logit difference", merge["max_difference"], "", merge["positions"]),
    ]


CHECKS: dict[str, Callable[[Facts], list[Check]]] = {
    "weights": _weights,
    "adapter": _adapter,
    "first_batch": _first_batch,
    "reference": _reference,
    "merge": _merge,
}
"""What each gate's fact, by its name in a training stage's manifest, says."""
SHOWN = {*CHECKS, "adapter_effect", "gates", "bytes"}
"""Facts the report shows elsewhere."""


def fact_rows(evidence: Evidence) -> list[tuple[str, str, str]]:
    """(stage, name, value) of everything else the stages recorded."""
    return [
        (stage, spoken(name), anything(value))
        for stage, manifest in evidence.manifests.items()
        for name, value in manifest.facts.items()
        if not (stage in (*TRAINED, "export") and name in SHOWN)
    ]
