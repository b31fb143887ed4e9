"""Goals of the benches, and whether a figure meets them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemma.table import UNKNOWN, markdown


@dataclass(frozen=True)
class Goal:
    """`value` None: not measured here, and why is `unmeasured`."""

    what: str
    bound: float
    unit: str
    value: float | None
    at_least: bool = False
    unmeasured: str = "not measured"

    @property
    def verdict(self) -> str:
        if self.value is None:
            return self.unmeasured
        return (
            "met"
            if (self.value >= self.bound if self.at_least else self.value <= self.bound)
            else "missed"
        )

    def row(self) -> tuple[str, str, str, str]:
        bound = f"{'at least' if self.at_least else 'at most'} {self.bound:g} {self.unit}"
        return (
            self.what,
            bound,
            UNKNOWN if self.value is None else f"{self.value:.3g} {self.unit}",
            self.verdict,
        )


def goal_table(goals: Sequence[Goal]) -> str:
    return "\n".join(markdown(("", "goal", "measured", "verdict"), [goal.row() for goal in goals]))
