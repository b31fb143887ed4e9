"""Outcomes of test questions, and the flips between the merged model and each other variant.

One byte for each question of each variant is all that is kept, so that 100,000 questions of ten
variants take a megabyte. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stemma.comparisons import BASELINE

UNMEASURED, RIGHT, WRONG, UNDECIDED, TIED, UNJUDGED = range(6)
"""Codes of outcomes. UNJUDGED: a sample that says neither right nor wrong."""
WORDS = ("not measured", "right", "wrong", "undecided", "tied", "")
"""Each code in words."""


def outcome(record: Mapping[str, Any]) -> int:
    """The code of one evaluated row. What is undecided or tied counts as not right."""
    if record.get("verdict") in WORDS[RIGHT : UNDECIDED + 1]:
        return WORDS.index(record["verdict"])
    if "right" not in record:
        return _of_benchmark(record)
    if not record["right"] and record.get("margin") == 0:
        return TIED
    return RIGHT if record["right"] else WRONG


def _of_benchmark(record: Mapping[str, Any]) -> int:
    """The code of a sample in lm-evaluation-harness's own shape, by its first yes-or-no metric."""
    for metric in ("acc", "exact_match"):
        if record.get(metric) in (0, 1):
            return RIGHT if record[metric] else WRONG
    return UNJUDGED


@dataclass
class TaskOutcomes:
    """Outcomes of one task by variant, each at the place of its row."""

    places: dict[str, int] = field(default_factory=dict)
    """The place of each row, by its id."""
    by_variant: dict[str, bytearray] = field(default_factory=dict)

    def add(self, variant: str, row: str, code: int) -> None:
        codes = self.by_variant.setdefault(variant, bytearray())
        place = self.places.setdefault(row, len(self.places))
        codes.extend(bytes(max(0, place + 1 - len(codes))))
        codes[place] = code

    def of(self, variant: str, place: int) -> int:
        codes = self.by_variant.get(variant, b"")
        return codes[place] if place < len(codes) else UNMEASURED

    def differ(self, variants: list[str], place: int) -> bool:
        """Whether some of the variants have the row right and others not."""
        codes = {self.of(name, place) for name in variants} - {UNMEASURED, UNJUDGED}
        return len({code == RIGHT for code in codes}) > 1


@dataclass(frozen=True)
class Flips:
    """Rows of a task that a variant and the merged model have right or not, in pairs."""

    task: str
    variant: str
    both_right: int
    lost: int
    """Right in merged, not in the variant."""
    gained: int
    both_wrong: int

    @property
    def n(self) -> int:
        return self.both_right + self.lost + self.gained + self.both_wrong

    @property
    def difference(self) -> float:
        """The variant's share of right rows less that of merged."""
        return (self.gained - self.lost) / self.n


def flips(tasks: Mapping[str, TaskOutcomes]) -> list[Flips]:
    """The flips of every variant that was measured beside the merged model.

    A reference of rewards, which ties with itself everywhere, has none.
    """
    found = []
    for task, outcomes in tasks.items():
        for variant, codes in outcomes.by_variant.items():
            if variant == BASELINE or set(codes) <= {UNMEASURED, TIED, UNJUDGED}:
                continue
            one = paired(task, variant, outcomes)
            found += [one] if one.n else []
    return found


def paired(task: str, variant: str, outcomes: TaskOutcomes) -> Flips:
    """The flips of one variant, over the rows that both have an outcome of."""
    counts = {(before, after): 0 for before in (True, False) for after in (True, False)}
    known = (RIGHT, WRONG, UNDECIDED, TIED)
    for place in outcomes.places.values():
        before = outcomes.of(BASELINE, place)
        after = outcomes.of(variant, place)
        if before in known and after in known:
            counts[before == RIGHT, after == RIGHT] += 1
    return Flips(
        task,
        variant,
        both_right=counts[True, True],
        lost=counts[True, False],
        gained=counts[False, True],
        both_wrong=counts[False, False],
    )
