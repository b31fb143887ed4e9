"""Numbers, sizes and times written for people: `1.62 GB`, `0.71 [0.66–0.76]`, `3 min 12 s`. Missing is `–`, never 0."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

MISSING = "–"
MINUS = "−"


def number(value: float, digits: int = 3) -> str:
    """At least `digits` significant figures, thousands separated, a real minus sign."""
    if not math.isfinite(value):
        return "not finite"
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e12):
        text = f"{size:.{digits - 1}g}".replace("e-0", "e-").replace("e+0", "e+")
    elif size == int(size):
        text = f"{int(size):,}"
    else:
        rounded = float(f"{size:.{digits - 1}e}")  # before counting places: 0.9996 is 1.00
        text = f"{size:,.{max(0, digits - 1 - math.floor(math.log10(rounded)))}f}"
    return (MINUS if value < 0 else "") + text


def fixed(value: float, places: int, signed: bool = False) -> str:
    """A fixed number of places; `signed` writes the plus too."""
    text = f"{abs(value):,.{places}f}"
    zero = float(text.replace(",", "")) == 0
    sign = "" if zero else MINUS if value < 0 else "+" if signed else ""
    return sign + text


def interval(low: float | None, high: float | None, places: int = 2, signed: bool = False) -> str:
    """`[0.66–0.76]`; signed or negative ends are joined by `to`, because a dash would read as a minus."""
    if low is None or high is None:
        return ""
    joint = " to " if signed or low < 0 else "–"
    return f"[{fixed(low, places, signed)}{joint}{fixed(high, places, signed)}]"


def size(count: float) -> str:
    """Bytes in decimal units, three significant figures."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor * 0.9995:
            return f"{number(count / factor)} {unit}"
    return f"{int(count)} B"


def rate(per_second: float) -> str:
    return f"{per_second:,.0f}" if per_second >= 100 else number(per_second)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def between(start: str, end: str) -> float:
    """Seconds between two ISO times."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def day(moment: str) -> str:
    """`22 November 2026, 11:05 UTC`."""
    when = datetime.fromisoformat(moment)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def short(digest: str) -> str:
    return digest[:8]


def anything(value: Any) -> str:
    """A recorded fact of any shape, on one line."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(float(value))
    if isinstance(value, dict):
        return ", ".join(f"{spoken(str(key))} {anything(inner)}" for key, inner in value.items()) or MISSING
    if isinstance(value, list | tuple):
        return ", ".join(anything(inner) for inner in value) or MISSING
    return str(value)


def spoken(name: str) -> str:
    """An identifier as words: `max_kl` → `max kl`; names such as `gguf-Q4_K_M` stay."""
    return name.replace("_", " ") if name.islower() else name
