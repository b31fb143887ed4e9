"""Quality against size and against speed, with the Pareto front: the variants worth choosing.

A variant is on the front if no other is at least as good in both and better in one. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from report.chart import SIZE, SPEED, Axis, Spot, scatter_chart
from report.run_data import RunData
from stemma.rows import Score


@dataclass(frozen=True)
class Quality:
    """A figure that more of is better, to be weighed against size and speed."""

    title: str
    task: str
    metric: str


QUALITIES = (
    Quality("MCQ accuracy", "mcq", "accuracy"),
    Quality("Generated answers right", "generation", "accuracy"),
    Quality("Reward accuracy", "preference", "reward_accuracy"),
)


@dataclass(frozen=True)
class Trade:
    """One picture: a quality of what can ship, over its size or speed."""

    title: str
    quality: Quality
    axis: Axis
    spots: list[Spot]
    ship: str

    @property
    def front(self) -> list[str]:
        """The names on the front, from the smallest or slowest on."""
        return [spot.name for spot in pareto(self.spots, self.axis.less_is_better)]

    @property
    def n(self) -> int:
        return max(spot.score.n for spot in self.spots)

    @property
    def svg(self) -> Markup:
        return scatter_chart(self.title, self.spots, self.axis, self.ship, self.front)


def pareto(spots: list[Spot], less_is_better: bool) -> list[Spot]:
    """The spots that no other dominates, by x."""
    sign = -1 if less_is_better else 1
    found = [
        spot
        for spot in spots
        if not any(_dominates(other, spot, sign) for other in spots if other is not spot)
    ]
    return sorted(found, key=lambda spot: (spot.x, spot.score.value))


def _dominates(other: Spot, spot: Spot, sign: int) -> bool:
    """Whether `other` is at least as good in both, and better in one."""
    gains = (sign * (other.x - spot.x), other.score.value - spot.score.value)
    return min(gains) >= 0 and max(gains) > 0


def trades(evidence: RunData) -> list[Trade]:
    """The pictures of every quality that two variants or more were measured on."""
    return [
        Trade(
            f"{quality.title} against {axis.title}",
            quality,
            axis,
            spots,
            evidence.recipe.export.ship,
        )
        for quality in QUALITIES
        for axis in (SIZE, SPEED)
        if len(spots := list(_spots(evidence, quality, axis))) > 1
    ]


def _spots(evidence: RunData, quality: Quality, axis: Axis) -> Iterator[Spot]:
    for name in evidence.recipe.exported():
        score = evidence.score(name, quality.task, quality.metric)
        x = _x(evidence, name, axis)
        if score and x is not None and math.isfinite(score.value):
            yield Spot(name, x, score)


def _x(evidence: RunData, variant: str, axis: Axis) -> float | None:
    if axis is SIZE:
        files = evidence.weights(variant)
        return files.bytes / 1e6 if files else None
    speed: Score | None = evidence.score(variant, "speed", "decode_tokens_per_second")
    return speed.value if speed else None
