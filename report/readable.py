"""Numbers, sizes and times written for people: `1.62 GB`, `[0.66–0.76]`, `5,321`. Missing is `–`,
never 0."""

from __future__ import annotations

import math
import re
from datetime import datetime

from stemma.visible import visible

MISSING = "–"
MINUS = "−"
NOT_FINITE = "not finite"
_NOTED = re.compile(r"(\S+(?: [kMG]?B)?) (\[[^\]]+\](?: n = [\d,]+)?|n = [\d,]+)")


def number(value: float) -> str:
    """At least three significant figures, thousands separated, a real minus sign."""
    if not math.isfinite(value):
        return NOT_FINITE
    if value == int(value):
        text = f"{int(value):,}"
    elif abs(value) < 1e-4:
        text = f"{value:.2g}".replace("e-0", "e-")
    else:
        rounded = float(f"{abs(value):.2e}")  # before counting places: 0.9996 is 1.00
        text = f"{value:,.{max(0, 2 - math.floor(math.log10(rounded)))}f}"
    return MINUS + text[1:] if value < 0 else text


def fixed(value: float, places: int, signed: bool = False) -> str:
    """A fixed number of places; `signed` writes the plus too. What rounds to zero has no sign."""
    if not math.isfinite(value):
        return NOT_FINITE
    rounded = round(value, places) + 0.0
    text = f"{rounded:+,.{places}f}" if signed and rounded else f"{rounded:,.{places}f}"
    return text.replace("-", MINUS)


def percent(share: float) -> str:
    return f"{fixed(100 * share, 0)}%" if math.isfinite(share) else NOT_FINITE


def interval(low: float | None, high: float | None, places: int = 2, signed: bool = False) -> str:
    """`[0.66–0.76]`; signed or negative ends are joined by `to`, because a dash would read as a
    minus."""
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


def took(start: str, end: str) -> str:
    """From one ISO time to another, as `0:03:12`."""
    return str(datetime.fromisoformat(end) - datetime.fromisoformat(start))


def day(moment: str) -> str:
    """`22 November 2026, 11:05 UTC`."""
    when = datetime.fromisoformat(moment)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def words(value: object) -> str:
    """A table's cell or a recorded fact of any shape, on one line."""
    if value is None or value in ({}, []):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, dict):
        return ", ".join(f"{spoken(name)} {words(inner)}" for name, inner in value.items())
    return (
        ", ".join(map(words, value))
        if isinstance(value, list)
        else visible(" ".join(str(value).split()))
    )


def spoken(name: str) -> str:
    """An identifier as words: `max_kl` → `max kl`; names such as `gguf-Q4_K_M` stay."""
    return name.replace("_", " ") if name.islower() else name


def noted(value: object) -> tuple[str, str]:
    """A cell as its figure and what stands behind it: `0.61 [0.55–0.67] n = 240` in two parts."""
    text = words(value)
    found = _NOTED.fullmatch(text)
    return (found[1], found[2]) if found else (text, "")
