"""Accuracy by subject and by the letter that is right, for every variant, as the evaluation
recorded it. Pure."""

from __future__ import annotations

from typing import Any

from report.readable import fixed, interval
from report.run_data import RunData, Table

GROUPINGS = {"by subject": "subject", "by letter right": "right letter"}
"""Facts of the task `mcq` that hold accuracies of groups, and what a group is."""


def subjects(evidence: RunData) -> Table:
    """A line for each group, a column for each variant; empty of an earlier Stemma's evaluation."""
    found = {
        name: facts for name in evidence.recipe.eval.variants if (facts := _facts(evidence, name))
    }
    rows: list[list[object]] = []
    for fact, kind in GROUPINGS.items():
        groups = dict.fromkeys(group for facts in found.values() for group in facts.get(fact, {}))
        for group in groups:
            ours = [facts.get(fact, {}).get(group) for facts in found.values()]
            n = next(one["n"] for one in ours if one)
            rows.append([kind, group, n, *(_cell(one) for one in ours)])
    return Table(("Grouped by", "Group", "n", *found), rows)


def _facts(evidence: RunData, variant: str) -> dict[str, Any]:
    """The facts of a variant's multiple choice."""
    facts = evidence.manifests["eval"].facts.get(variant)
    mcq = facts.get("mcq") if isinstance(facts, dict) else None
    return mcq if isinstance(mcq, dict) else {}


def _cell(one: dict[str, Any] | None) -> str | None:
    if one is None:
        return None
    return f"{fixed(one['accuracy'], 2)} {interval(one['low'], one['high'])}"
