"""Small charts as inline SVG: lines over steps, quality against size, an interval on a scale.

Hand-made rather than matplotlib's: colours are CSS variables, so one picture serves light and dark, and the same
numbers always give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from report.readable import MINUS, fixed, number

WIDTH, HEIGHT = 300, 200
LEFT, RIGHT, TOP, BOTTOM = 40, 10, 10, 34
SMOOTH_ABOVE = 60
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""left, top, right, bottom"""


@dataclass(frozen=True)
class Series:
    """One line; `css` picks its colour, `marked` draws the points (few and far between, as evaluations are)."""

    name: str
    css: str
    points: Sequence[Point]
    marked: bool = False


@dataclass(frozen=True)
class Spot:
    """One point of a scatter chart with its 95 % interval."""

    name: str
    x: float
    y: float
    low: float | None
    high: float | None
    highlighted: bool


@dataclass(frozen=True)
class Scale:
    """Maps values to pixels, linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)


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


def line_chart(title: str, series: Sequence[Series], unit: str = "step") -> Markup:
    """Lines over steps. A long series is drawn faint, with its running mean on top."""
    values = [y for line in series for _, y in line.points]
    steps = [x for line in series for x, _ in line.points]
    last = max(*steps, 1)
    x_ticks, y_ticks = ticks(0, last, 5), ticks(min(values), max(values))
    x = Scale(0, last, LEFT, WIDTH - RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP)
    parts = [_grid(x, y, [tick for tick in x_ticks if tick <= last], y_ticks), _axis_title(unit)]
    parts += [_line(line, x, y) for line in series]
    return _svg(WIDTH, HEIGHT, title, Markup("").join(parts))


def scatter_chart(title: str, spots: Sequence[Spot], chance: float | None) -> Markup:
    """Quality over size in MB: intervals as whiskers, names beside the points, chance as a dashed line."""
    width, height = 760, 300
    ends = [end for spot in spots for end in (spot.low, spot.high, spot.y) if end is not None]
    x_ticks = ticks(0, max(spot.x for spot in spots), 6)
    y_ticks = ticks(min([*ends, *([chance] if chance is not None else [])]), max(ends), 5)
    x = Scale(0, x_ticks[-1] * 1.06, LEFT, width - RIGHT)
    y = Scale(y_ticks[0], y_ticks[-1], height - BOTTOM, TOP)
    parts = [_grid(x, y, x_ticks, y_ticks), _axis_title("size on disk, MB", width, height)]
    if chance is not None:
        at = y(chance)
        parts.append(Markup('<path class="chance" d="M{} {}H{}"/>').format(LEFT, at, width - RIGHT))
        parts.append(Markup('<text class="tick" x="{}" y="{}">chance</text>').format(LEFT + 4, at - 4))
    parts += [_spot(spot, x, y) for spot in spots]
    parts += _names([(spot.name, x(spot.x), y(spot.y), spot.highlighted) for spot in spots], width - RIGHT)
    return _svg(width, height, title, Markup("").join(parts))


def interval_bar(value: float, low: float | None, high: float | None, chance: float | None) -> Markup:
    """A share on a scale from 0 to 1: the point, its interval, and a tick where guessing lies."""
    x = Scale(0, 1, 4, 96)
    parts = [Markup('<path class="rail" d="M4 7H96"/>')]
    if chance is not None:
        parts.append(Markup('<path class="chance" d="M{} 1V13"/>').format(x(chance)))
    if low is not None and high is not None:
        parts.append(Markup('<path class="whisker" d="M{} 7H{}"/>').format(x(low), x(high)))
    parts.append(Markup('<circle class="dot" cx="{}" cy="7" r="3"/>').format(x(value)))
    body = Markup("").join(parts)
    return Markup('<svg class="bar" viewBox="0 0 100 14" aria-hidden="true">{}</svg>').format(body)


def _svg(width: float, height: float, title: str, body: Markup) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(width, height, title) + body + Markup("</svg>")


def _grid(x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> Markup:
    parts = []
    for tick in y_ticks:
        parts.append(Markup('<path class="grid" d="M{} {}H{}"/>').format(x.start, y(tick), x.end))
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>')
        parts.append(text.format(x.start - 6, y(tick) + 4, label(tick)))
    for tick in x_ticks:
        text = Markup('<text class="tick" x="{}" y="{}" text-anchor="middle">{}</text>')
        parts.append(text.format(x(tick), y.start + 16, label(tick)))
    return Markup("").join(parts)


def _axis_title(text: str, width: float = WIDTH, height: float = HEIGHT) -> Markup:
    markup = Markup('<text class="tick" x="{}" y="{}" text-anchor="end">{}</text>')
    return markup.format(width - RIGHT, height - 4, text)


def _line(line: Series, x: Scale, y: Scale) -> Markup:
    long = len(line.points) > SMOOTH_ABOVE
    parts = [_path(line.points, x, y, f"line {line.css}{' faint' if long else ''}")]
    if long:
        parts.append(_path(smoothed(line.points, len(line.points) // 40), x, y, f"line {line.css}"))
    if line.marked or len(line.points) == 1:
        parts += [_mark(line, point, x, y) for point in line.points]
    return Markup("").join(parts)


def _path(points: Sequence[Point], x: Scale, y: Scale, css: str) -> Markup:
    return Markup('<path class="{}" d="M{}"/>').format(css, "L".join(f"{x(a)} {y(b)}" for a, b in points))


def _mark(line: Series, point: Point, x: Scale, y: Scale) -> Markup:
    markup = Markup('<circle class="mark {}" cx="{}" cy="{}" r="3.5"><title>{}</title></circle>')
    told = f"{line.name}, step {point[0]:g}: {number(point[1])}"
    return markup.format(line.css, x(point[0]), y(point[1]), told)


def _spot(spot: Spot, x: Scale, y: Scale) -> Markup:
    whisker = Markup("")
    if spot.low is not None and spot.high is not None:
        whisker = Markup('<path class="whisker" d="M{} {}V{}"/>').format(x(spot.x), y(spot.low), y(spot.high))
    told = f"{spot.name}: {fixed(spot.y, 3)} at {number(spot.x)} MB"
    css = "dot shipped" if spot.highlighted else "dot"
    markup = Markup('<circle class="{}" cx="{}" cy="{}" r="5"><title>{}</title></circle>')
    return whisker + markup.format(css, x(spot.x), y(spot.y), told)


def _names(points: Sequence[tuple[str, float, float, bool]], right: float) -> list[Markup]:
    """Labels, each at the first place beside its point where it hits neither the border nor an earlier label."""
    taken = [(x - 6, y - 6, x + 6, y + 6) for _, x, y, _ in points]
    parts = []
    for name, x, y, highlighted in points:
        width = 7 * len(name)
        places = [(x + dx * 10 - (width if dx < 0 else 0), y + dy) for dy in _NUDGES for dx in (1, -1)]
        free = (place for place in places if _fits(_box(place, width), taken, right))
        place = next(free, places[0])
        taken.append(_box(place, width))
        markup = Markup('<text class="name{}" x="{:.1f}" y="{:.1f}">{}</text>')
        parts.append(markup.format(" strong" if highlighted else "", place[0], place[1] + 4, name))
    return parts


_NUDGES = (0, -14, 14, -28, 28, -42, 42, -56, 56, -70, 70, -84, 84)


def _box(place: Point, width: float) -> Box:
    return (place[0], place[1] - 7, place[0] + width, place[1] + 7)


def _fits(box: Box, taken: Sequence[Box], right: float) -> bool:
    if box[0] < LEFT or box[2] > right:
        return False
    return not any(box[0] < t[2] and t[0] < box[2] and box[1] < t[3] and t[1] < box[3] for t in taken)
