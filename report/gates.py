"""The gates as one table: those of the training stages (facts of their manifests) and the export's `gates.json`.

A stage whose gate fails leaves no manifest, so every gate of a training stage that is seen here has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from report.evidence import Evidence, Table
from report.readable import number, spoken, words
from stemma.chain import TRAINED

Facts = dict[str, Any]

CHECKS = (
    ("weights", "not_finite", "tensors with NaN or infinity", "0", "tensors"),
    ("counted", "trained", "trained weights, by the trainer and by the model's shapes", "{counted[planned]:,}", "of"),
    ("adapter", "lora_pairs", "trained LoRA pairs", "{adapter[expected_pairs]}", None),
    ("adapter", "not_finite", "tensors with NaN or infinity in the LoRA pairs", "0", "lora_pairs"),
    ("adapter", "zero_b", "LoRA B matrices left at zero", "0", "lora_pairs"),
    ("first_batch", "as_written", "sequences of the first batch exactly as written",
     "{first_batch[first_batch_sequences]}", "first_batch_sequences"),
    ("reference", "first_margin", "first-step reward margin", "0", None),
    ("merge", "kl", "merged against adapter on base: mean KL",
     "the adapter's own effect: {adapter_effect[kl]:.3g}", "positions"),
    ("merge", "top1", "merged against adapter on base: top-1 agreement", "", "positions"),
    ("merge", "max_difference", "merged against adapter on base: largest logit difference", "", "positions"),
)  # fmt: skip
"""Of a training stage's facts: the fact, its figure, what that says, its limit, on how many."""
SHOWN = {*(fact for fact, *_ in CHECKS), "adapter_effect", "gates", "bytes", "trainable", "steps"}
"""Facts the report shows elsewhere."""


def gates(evidence: Evidence) -> Table:
    """Every gate of the run, in chain order."""
    trained = [(stage, m.facts) for stage, m in evidence.manifests.items() if stage in TRAINED]
    rows = [[stage, "", *check] for stage, facts in trained for check in (*_checks(facts), *_log_probs(facts))]
    rows += [
        ["export", gate["variant"], gate["gate"], gate["measured"], limit_words(**gate), gate["n"], gate["passed"]]
        for gate in evidence.gates
    ]
    return Table(("Stage", "Variant", "Check", "Measured", "Limit", "n", "Passed"), rows)


def _checks(facts: Facts) -> Iterator[list[object]]:
    """What a check says, found, may be, of how many, that it passed; one that could not be made gives its reason."""
    for fact, figure, said, limit, n in CHECKS:
        found = facts.get(fact)
        if isinstance(found, str):
            yield [said, found, None, None, None]
        elif found:
            yield [said, found[figure], limit.format(**facts), found[n] if n else None, True]


def _log_probs(facts: Facts) -> Iterator[list[object]]:
    for side in ("chosen", "rejected") if "reference" in facts else ():
        pair, limit = facts["reference"][f"logps/{side}"], f"within {facts['reference']['tolerance']}"
        said = f"first-step log p of {side}: trainer minus stated reference"
        yield [said, pair["trainer"] - pair["stated reference"], limit, None, True]


def limit_words(measured: float, limit: float, passed: bool, **_: object) -> str:
    """`≤ 0.2` or `≥ 0.98`: on which side the figure has to lie follows from where it lies and whether it passed."""
    if measured == limit:
        return number(limit)
    return f"{'≤' if (measured < limit) == passed else '≥'} {number(limit)}"


def facts(evidence: Evidence) -> Table:
    """Everything else the stages recorded."""
    rows = [
        [stage, spoken(name), words(value)]
        for stage, manifest in evidence.manifests.items()
        for name, value in manifest.facts.items()
        if not (stage in (*TRAINED, "export") and name in SHOWN)
    ]
    return Table(("Stage", "Fact", "Value"), rows)
