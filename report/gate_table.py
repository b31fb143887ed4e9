"""The gates as one table, as the stages recorded them, and a table of all other facts."""

from __future__ import annotations

from dataclasses import dataclass

from report.readable import number, spoken, words
from report.run_data import RunData, Table
from report.subjects import GROUPINGS
from stemma.chain import TRAINED
from stemma.gate import Gate, read_gates

GATED = (*TRAINED, "export", "rag")
"""The stages that hand weights on, the encoder's too."""
SIGNS = {"at most": "≤", "at least": "≥", "exactly": "="}
SHOWN = {"bytes", "trainable", "steps"}
"""Facts of these stages that other tables show."""
EARLIER = "not listed: an earlier Stemma recorded them with the facts below"


def gates(evidence: RunData) -> Table:
    """Every gate of the run, in chain order; in one line those that an earlier Stemma recorded."""
    gated = {stage: found for stage, found in evidence.manifests.items() if stage in GATED}
    listed = {stage: read_gates(found.facts.get("gates")) for stage, found in gated.items()}
    earlier = ", ".join(stage for stage, found in listed.items() if found is None)
    rows: list[list[object]] = [[earlier, "", EARLIER, None, None, None, None]] if earlier else []
    rows += [[stage, *_row(gate)] for stage, found in listed.items() for gate in found or []]
    return Table(("Stage", "Subject", "Check", "Measured", "Limit", "n", "Passed"), rows)


@dataclass(frozen=True)
class StageGates:
    """The gates of one stage, and how it stands with them."""

    stage: str
    table: Table
    measured: int
    failed: int
    nearest: str
    """The gate that is nearest to its limit, with both; empty where none can be."""


def by_stage(evidence: RunData) -> list[StageGates]:
    """The gates stage by stage, for who wants no more than a line of each."""
    table = gates(evidence)
    found = []
    for stage in dict.fromkeys(row[0] for row in table.rows):
        rows = [row[1:] for row in table.rows if row[0] == stage]
        verdicts = [row[-1] for row in rows if row[-1] is not None]
        manifest = evidence.manifests.get(str(stage))
        listed = read_gates(manifest.facts.get("gates")) if manifest else None
        found.append(
            StageGates(
                stage=str(stage),
                table=Table(table.heads[1:], rows),
                measured=len(verdicts),
                failed=verdicts.count(False),
                nearest=_nearest(listed or []),
            )
        )
    return found


def _nearest(listed: list[Gate]) -> str:
    """The gate that uses most of what its limit allows, in words."""
    shares = [(share, gate) for gate in listed if (share := used_share(gate)) is not None]
    if not shares:
        return ""
    share, gate = max(shares, key=lambda one: one[0])
    assert gate.value is not None, "only what was measured has a share"
    said = f"{gate.subject}, {gate.name} {number(gate.value)}, limit {limit_words(gate)}"
    return f"{said} ({100 * share:.0f}% of what is allowed)"


def used_share(gate: Gate) -> float | None:
    """What of its limit a gate uses up: 1 is just passed. None where that is no share."""
    if gate.value is None or not gate.limit or gate.direction == "exactly":
        return None
    if gate.direction == "at most":
        return gate.value / gate.limit
    # Of a share that must not fall far below 1: how much of the allowed fall is used.
    return (1 - gate.value) / (1 - gate.limit) if gate.limit < 1 else None


def _row(gate: Gate) -> list[object]:
    """What was checked, measured, its limit, on how many, the verdict; or why it was not made."""
    if gate.value is None:
        return [gate.subject, gate.name, gate.reason, None, None, None]
    return [gate.subject, gate.name, gate.value, limit_words(gate), gate.n, gate.passed]


def limit_words(gate: Gate) -> str:
    """The limit and on which side of it the value has to lie: `≤ 0.2`, `≥ 0.98`, `= 42`."""
    assert gate.limit is not None, "only a check that could not be made has no limit"
    return f"{SIGNS[gate.direction]} {number(gate.limit)}"


def facts(evidence: RunData) -> Table:
    """Everything else the stages recorded."""
    rows = [
        [stage, spoken(name), words(_unlisted(value))]
        for stage, manifest in evidence.manifests.items()
        for name, value in manifest.facts.items()
        if not (stage in GATED and (name in SHOWN or _is_listed(name, value)))
    ]
    return Table(("Stage", "Fact", "Value"), rows)


def _unlisted(value: object) -> object:
    """A fact without accuracies by group, which have a table of their own."""
    if not isinstance(value, dict):
        return value
    return {name: _unlisted(inner) for name, inner in value.items() if name not in GROUPINGS}


def _is_listed(name: str, value: object) -> bool:
    """Whether a fact is the list of gates, which has a table of its own."""
    return name == "gates" and read_gates(value) is not None
