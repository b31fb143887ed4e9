"""Risk against coverage: how often a variant errs where it answers only what it is surest of.

The evaluation's points are `{"variant": "merged", "coverage": 0.25, "risk": 0.1}`. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from markupsafe import Markup

from report.chart import Point, line_chart
from report.reported import variants_that_matter
from report.run_data import RunData
from stemma.comparisons import BASELINE
from stemma.recipe.eval_arms import split_arm

OWN, OTHER = "train", "eval"
"""The style sheet's colours of a variant's line and of merged's."""


@dataclass(frozen=True)
class RiskCurve:
    """One variant's risk over coverage, beside merged's; an arm's beside closed-book."""

    variant: str
    lines: dict[str, list[Point]]

    @property
    def colours(self) -> dict[str, str]:
        return {name: OWN if name == self.variant else OTHER for name in self.lines}

    @property
    def svg(self) -> Markup:
        title = f"{self.variant}: risk against coverage"
        return line_chart(title, self.lines, self.colours, unit="coverage", floor=0.0)


def risk_curves(evidence: RunData) -> list[RiskCurve]:
    """A curve for each variant, in the recipe's order; none where abstention was not measured."""
    lines: dict[str, list[Point]] = {}
    for record in evidence.abstention:
        point = (float(record["coverage"]), float(record["risk"]))
        if all(map(math.isfinite, point)):
            lines.setdefault(str(record["variant"]), []).append(point)
    return [
        RiskCurve(name, {other: lines[other] for other in (name, _beside(name)) if other in lines})
        for name in evidence.recipe.eval.variants
        if name in lines
    ]


def main_curves(evidence: RunData) -> tuple[list[RiskCurve], list[RiskCurve]]:
    """The curves of the variants that matter, and all others."""
    named = variants_that_matter(evidence)
    curves = risk_curves(evidence)
    main = [curve for curve in curves if curve.variant in named]
    return main, [curve for curve in curves if curve.variant not in named]


def _beside(variant: str) -> str:
    """What a variant is compared with: an arm with the same weights asked closed-book."""
    weights, arm = split_arm(variant)
    return weights if arm else BASELINE
