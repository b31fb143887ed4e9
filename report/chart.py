"""Small charts as inline SVG: lines over steps, quality against size, counts.

Hand-made rather than matplotlib's: colours are CSS variables, so one picture serves light and
dark, and the same numbers always give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from report.readable import MINUS, fixed, number
from stemma.rows import Score

LEFT, RIGHT, TOP, BOTTOM = 40, 10, 10, 34
"""Margins of a picture."""
MARK_UP_TO = 15
"""Lines of so few points show each."""
SMOOTH_ABOVE = 60
"""Lines of more points are drawn with their running mean."""
MOST_POINTS = 400
"""Of a line: a longer one is drawn by stretches, so that the page does not grow with the log."""
LEAST_ABOVE = 0.1
"""What an axis with a floor shows above it, where all values lie on it."""
NAME_CHARACTERS = 40
"""Of a bar's name: 6 units a character leave a number of ten digits its place."""
SPOT_NAME = 60
"""About half the width of a variant's name."""
Point = tuple[float, float]


@dataclass(frozen=True)
class Frame:
    """A picture and its axes.

    x runs from 0 to `last`; y from the first to the last tick, drawn below `top`.
    """

    width: int
    height: int
    last: float
    x_ticks: list[float]
    y_ticks: list[float]
    top: int = TOP

    def x(self, value: float) -> float:
        return round(LEFT + value / self.last * (self.width - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        low = self.y_ticks[0]
        high = self.y_ticks[-1]
        room = self.height - BOTTOM - self.top
        return round(self.top + (high - value) / (high - low) * room, 1)

    def path(self, css: str, points: Iterable[Point]) -> str:
        line = "L".join(f"{self.x(x)} {self.y(y)}" for x, y in points)
        return f'<path class="{css}" d="M{line}"/>'

    def mark(self, css: str, point: Point, told: str) -> str:
        place = f'cx="{self.x(point[0])}" cy="{self.y(point[1])}"'
        return f'<circle class="{css}" {place} r="4"><title>{escape(told)}</title></circle>'

    def picture(self, title: str, unit: str, parts: Sequence[str]) -> Markup:
        """The parts on a grid with its numbers."""
        grid = [self.path("grid", [(0, tick), (self.last, tick)]) for tick in self.y_ticks]
        for tick in self.y_ticks:
            grid.append(text(LEFT - 6, self.y(tick) + 4, label(tick), anchor="end"))
        bottom = self.height - BOTTOM + 16
        for tick in self.x_ticks:
            if tick <= self.last:
                grid.append(text(self.x(tick), bottom, label(tick)))
        grid.append(text(self.width - RIGHT, self.height - 4, unit, anchor="end"))
        box = f"0 0 {self.width} {self.height}"
        head = f'<svg viewBox="{box}" role="img" aria-label="{escape(title)}">'
        return Markup("".join([head, *grid, *parts, "</svg>"]))


def text(x: float, y: float, words: str, css: str = "tick", anchor: str = "middle") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{css}" {place}>{escape(words)}</text>'


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round values (1, 2, 5 × 10ⁿ) that cover the range from below `low` to above `high`."""
    if high <= low:
        margin = abs(low) * 0.1 or 1.0
        low, high = low - margin, high + margin
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def label(value: float) -> str:
    """An axis number: as short as it can be."""
    return f"{value:,.10g}".replace("-", MINUS)


def smoothed(points: Sequence[Point], width: int) -> list[Point]:
    """The running mean over `width` points to either side."""
    means = []
    for index, (x, _) in enumerate(points):
        window = [y for _, y in points[max(0, index - width) : index + width + 1]]
        means.append((x, sum(window) / len(window)))
    return means


def stretches(points: Sequence[Point]) -> list[Sequence[Point]]:
    """The points of a long line in so many stretches that each may leave two."""
    count = MOST_POINTS // 2
    size = math.ceil(len(points) / count)
    return [points[start : start + size] for start in range(0, len(points), size)]


def thinned(points: Sequence[Point]) -> list[Point]:
    """A long line's lowest and highest point of each stretch: no spike is lost."""
    if len(points) <= MOST_POINTS:
        return list(points)
    found: list[Point] = []
    for stretch in stretches(points):
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        found += sorted(ends)
    return found


def averaged(points: Sequence[Point]) -> list[Point]:
    """A long line's mean of each stretch, at its middle."""
    if len(points) <= MOST_POINTS:
        return list(points)
    return [
        (sum(x for x, _ in stretch) / len(stretch), sum(y for _, y in stretch) / len(stretch))
        for stretch in stretches(points)
    ]


def line_chart(
    title: str,
    lines: dict[str, list[Point]],
    colours: Mapping[str, str] | None = None,
    unit: str = "step",
    floor: float | None = None,
) -> Markup:
    """Lines over steps, or over what `unit` names; `floor`: where the y axis begins.

    A long one is drawn faint, with its running mean on top; one of few points shows them.

    A line's colour is the style sheet's of its name, unless `colours` says another.
    """
    steps, values = zip(*(point for points in lines.values() for point in points), strict=True)
    last = max(*steps, 1)
    low = min(values) if floor is None else floor
    high = max(values) if floor is None else max(*values, floor + LEAST_ABOVE)
    frame = Frame(300, 200, last, ticks(0, last), ticks(low, high))
    parts = []
    for name, points in lines.items():
        css = colours[name] if colours else name
        if len(points) > SMOOTH_ABOVE:
            means = averaged(points)
            parts.append(frame.path(f"line {css} faint", thinned(points)))
            parts.append(frame.path(f"line {css}", smoothed(means, len(means) // 40)))
        else:
            parts.append(frame.path(f"line {css}", points))
        if len(points) <= MARK_UP_TO:
            for point in points:
                told = f"{name}, {unit} {point[0]:g}: {number(point[1])}"
                parts.append(frame.mark(f"mark {css}", point, told))
    return frame.picture(title, unit, parts)


def bar_chart(title: str, counts: Mapping[str, int]) -> Markup:
    """A bar for each count, its name and number above it; a long name is cut in its middle, and
    shown whole where one points at it."""
    width, row, most = 300, 26, max(counts.values())
    parts = []
    for place, (name, count) in enumerate(counts.items()):
        y = row * place + 12
        named = text(0, y, cut(name), anchor="start")
        parts.append(f"<g><title>{escape(name)}</title>{named}</g>")
        parts.append(text(width, y, number(count), anchor="end"))
        parts.append(f'<path class="share" d="M0 {y + 7}H{max(width * count / most, 1):.1f}"/>')
    height = row * len(counts)
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
    return Markup("".join([head, *parts, "</svg>"]))


def cut(name: str) -> str:
    """A name that leaves its bar's number room: its beginning, and the end that tells files
    apart."""
    if len(name) <= NAME_CHARACTERS:
        return name
    kept = NAME_CHARACTERS - 1
    return f"{name[: kept // 3]}…{name[kept // 3 - kept :]}"


@dataclass(frozen=True)
class Axis:
    """What a scatter chart's x axis measures."""

    title: str
    unit: str
    less_is_better: bool


SIZE = Axis("size on disk", "MB", less_is_better=True)
SPEED = Axis("writing speed", "tokens a second", less_is_better=False)


@dataclass(frozen=True)
class Spot:
    """A variant in a scatter chart: its size or speed, and its quality."""

    name: str
    x: float
    score: Score


def scatter_chart(
    title: str, spots: Sequence[Spot], axis: Axis, strong: str, front: Sequence[str] = ()
) -> Markup:
    """Quality over size or speed, intervals as whiskers, the Pareto front as a line.

    Names take turns on four rows on top, so that none overlap.
    """
    last = max(spot.x for spot in spots) * 1.06
    ends = [
        end
        for spot in spots
        for end in (spot.score.value, spot.score.low, spot.score.high)
        if end is not None
    ]
    frame = Frame(560, 300, last, ticks(0, last, 6), ticks(min(ends), max(ends)), top=76)
    ordered = sorted(spots, key=lambda spot: (spot.x, spot.score.value))
    line = [(spot.x, spot.score.value) for spot in ordered if spot.name in front]
    parts = [frame.path("front", line)] if len(line) > 1 else []
    for rank, spot in enumerate(ordered):
        parts += _spot(frame, spot, axis, 14 + 15 * (rank % 4), spot.name == strong)
    return frame.picture(title, f"{axis.title}, {axis.unit}", parts)


def _spot(frame: Frame, spot: Spot, axis: Axis, row: int, strong: bool) -> list[str]:
    """One variant: a line up to its name, its interval, its dot."""
    css = " strong" if strong else ""
    x, score = spot.x, spot.score
    parts = [f'<path class="leader" d="M{frame.x(x)} {row + 3}V{frame.y(score.value)}"/>']
    if score.low is not None and score.high is not None:
        parts.append(frame.path("whisker", [(x, score.low), (x, score.high)]))
    told = f"{spot.name}: {fixed(score.value, 3)} at {number(x)} {axis.unit}"
    parts.append(frame.mark(f"dot{css}", (x, score.value), told))
    anchor, place = "middle", frame.x(x)
    if place + SPOT_NAME > frame.width:  # a name at the edge would be cut
        anchor, place = "end", float(frame.width)
    parts.append(text(place, row, spot.name, f"name{css}", anchor))
    return parts
