"""Accuracy by subject and by the letter that is right, for every variant, as the evaluation
recorded it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from report.readable import fixed, interval
from report.reported import variants_that_matter
from report.run_data import RunData, Table
from report.tables import Figure
from stemma.rows import Score

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


@dataclass(frozen=True)
class GroupRow:
    """Accuracies of one group: a subject, or a right letter."""

    group: str
    n: int
    figures: list[Figure]


@dataclass(frozen=True)
class Groups:
    """The groups of one kind, the weakest of the shipped file first."""

    kind: str
    variants: list[str]
    rows: list[GroupRow]
    left_out: int
    """Groups that only the files hold."""


MOST_GROUPS = 40
"""Of one kind on the page: those with the most questions."""


def groups(evidence: RunData) -> list[Groups]:
    """Accuracy by group of the variants that matter; the files hold it for all."""
    named = [name for name in variants_that_matter(evidence) if _facts(evidence, name)]
    found = []
    for fact, kind in GROUPINGS.items():
        facts = {name: _facts(evidence, name).get(fact, {}) for name in named}
        rows = [
            GroupRow(group, n, [_figure(name, facts[name].get(group)) for name in named])
            for group, n in _counts(facts).items()
        ]
        kept = sorted(rows, key=lambda row: -row.n)[:MOST_GROUPS]
        if kind == "subject":
            kept = sorted(kept, key=_of_the_last)
        else:
            kept = sorted(kept, key=lambda row: row.group)
        if kept:
            found.append(Groups(kind, named, kept, len(rows) - len(kept)))
    return found


def _counts(facts: dict[str, Any]) -> dict[str, int]:
    """Questions by group, as any variant answered them."""
    return {group: one["n"] for by_group in facts.values() for group, one in by_group.items()}


def _of_the_last(row: GroupRow) -> float:
    """The accuracy of the last variant, which ships."""
    share = row.figures[-1].share
    return share.value if share else 2.0


def _figure(variant: str, one: dict[str, Any] | None) -> Figure:
    if one is None:
        return Figure(variant)
    share = Score(
        variant=variant,
        task="mcq",
        metric="accuracy",
        value=one["accuracy"],
        n=one["n"],
        low=one["low"],
        high=one["high"],
    )
    bounds = interval(one["low"], one["high"])
    return Figure(variant, fixed(one["accuracy"], 2), bounds, share=share)


def _facts(evidence: RunData, variant: str) -> dict[str, Any]:
    """The facts of a variant's multiple choice."""
    facts = evidence.manifests["eval"].facts.get(variant)
    mcq = facts.get("mcq") if isinstance(facts, dict) else None
    return mcq if isinstance(mcq, dict) else {}


def _cell(one: dict[str, Any] | None) -> str | None:
    if one is None:
        return None
    return f"{fixed(one['accuracy'], 2)} {interval(one['low'], one['high'])}"
