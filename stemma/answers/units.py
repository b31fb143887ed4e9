"""Units as a factor and dimensions: `km/h`, `m s^-1`, `metres per second`, `kWh`, `%`, `dollars`.

Case means something here (mW and MW), so symbols are read as they are written and only names in any
case.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple


class Unit(NamedTuple):
    """`factor` in the base units of `dimensions`: 1 km/h is 5/18 of {m: 1, s: -1}."""

    factor: Fraction
    dimensions: frozenset[tuple[str, int]]


PERCENT = Unit(Fraction(1, 100), frozenset())

_PREFIXES = {
    "T": 12,
    "G": 9,
    "M": 6,
    "k": 3,
    "h": 2,
    "d": -1,
    "c": -2,
    "m": -3,
    "µ": -6,
    "μ": -6,
    "u": -6,
    "n": -9,
    "p": -12,
}
_PREFIX_NAMES = {
    "tera": 12,
    "giga": 9,
    "mega": 6,
    "kilo": 3,
    "centi": -2,
    "milli": -3,
    "micro": -6,
    "nano": -9,
    "pico": -12,
}
# Symbol, names, and what it is made of; all of these take prefixes.
_METRIC = (
    ("m", "metre meter", "m"),
    ("s", "second sec", "s"),
    ("g", "gram gramme", "g"),
    ("A", "ampere amp", "A"),
    ("K", "kelvin", "K"),
    ("mol", "mole", "mol"),
    ("N", "newton", "1000 g m s-2"),
    ("J", "joule", "1000 g m2 s-2"),
    ("W", "watt", "1000 g m2 s-3"),
    ("Pa", "pascal", "1000 g m-1 s-2"),
    ("Hz", "hertz", "s-1"),
    ("C", "coulomb", "A s"),
    ("V", "volt", "1000 g m2 s-3 A-1"),
    ("Ω", "ohm", "1000 g m2 s-3 A-2"),
    ("F", "farad", "1/1000 g-1 m-2 s4 A2"),
    ("T", "tesla", "1000 g s-2 A-1"),
    ("Wh", "watt-hour", "3600000 g m2 s-3 s"),
    ("eV", "electronvolt", "eV"),
    ("L", "litre liter", "1/1000 m3"),
    ("l", "", "1/1000 m3"),
    ("cal", "calorie", "cal"),
    ("B", "byte", "8 bit"),
    ("bit", "bit", "bit"),
    ("bar", "bar", "100000000 g m-1 s-2"),
)
_OTHERS = (
    ("min", "minute", "60 s"),
    ("h", "hour hr", "3600 s"),
    ("", "day", "86400 s"),
    ("", "week", "604800 s"),
    ("", "month", "month"),
    ("", "year", "year"),
    ("%", "percent", "1/100"),
    ("°C", "celsius", "celsius"),
    ("°F", "fahrenheit", "fahrenheit"),
    ("°", "degree", "degree"),
    ("rad", "radian", "radian"),
    ("ft", "foot feet", "foot"),
    ("", "inch inche", "inch"),
    ("", "mile", "mile"),
    ("lb", "", "lb"),
    ("atm", "atmosphere", "atm"),
    ("", "dollar", "dollar"),
    ("", "euro", "euro"),
    ("", "cent", "1/100 dollar"),
)


def _made_of(parts: str) -> Unit:
    factor, dimensions = Fraction(1), dict[str, int]()
    for part in parts.split():
        if part[0].isdigit():
            factor *= Fraction(part)
            continue
        name, power = re.fullmatch(r"(\D+?)(-?\d+)?", part).groups()  # type: ignore[union-attr]
        dimensions[name] = dimensions.get(name, 0) + int(power or 1)
    return Unit(factor, frozenset((name, power) for name, power in dimensions.items() if power))


def _tables() -> tuple[dict[str, Unit], dict[str, Unit]]:
    symbols, names = dict[str, Unit](), dict[str, Unit]()
    for symbol, words, parts in (*_METRIC, *_OTHERS):
        unit = _made_of(parts)
        metric = (symbol, words, parts) in _METRIC
        for prefix, power in {"": 0, **(_PREFIXES if metric else {})}.items():
            symbols.setdefault(
                prefix + symbol, Unit(unit.factor * Fraction(10) ** power, unit.dimensions)
            )
        for prefix, power in {"": 0, **(_PREFIX_NAMES if metric else {})}.items():
            for word in words.split():
                names[prefix + word] = Unit(unit.factor * Fraction(10) ** power, unit.dimensions)
    return {
        symbol: unit for symbol, unit in symbols.items() if symbol and symbol not in _PROSE
    }, names


_PROSE = {*_PREFIXES, "as", "am", "pm", "at", "cd", "ha"} - {"m", "h", "T"}
"""Ordinary words that a prefix alone, or with a symbol, would be taken for."""
_SYMBOLS, _NAMES = _tables()
_FACTOR = re.compile(
    r"(%|°[CF]?(?![^\W\d_])|[^\W\d_]+(?:-hours?)?)(?:\^?(-?[1-9])(?!\d)|( squared| cubed)\b)?"
)
_JOIN = re.compile(r"\s?(/|·|⋅|×)\s?|\s(per)\s|-|\s")


def unit_at(text: str, start: int = 0) -> tuple[Unit | None, int]:
    """The unit that begins at a place (a blank before it is passed over), and where it ends."""
    begin = start + (text[start : start + 1] == " ")
    found, end = None, start
    sign = 1
    while (factor := _FACTOR.match(text, begin)) and (one := _one(factor[1])):
        if found and sign == 1 and text[end:begin] in (" ", "-") and factor[1] not in _SYMBOLS:
            break
        power = sign * (
            int(factor[2]) if factor[2] else {" squared": 2, " cubed": 3}.get(factor[3], 1)
        )
        found, end = _times(found, one, power), factor.end()
        join = _JOIN.match(text, end)
        if not join:
            break
        begin, sign = join.end(), -1 if "/" in (join[1], join[2] and "/") else 1
    return found, end


@lru_cache(maxsize=1024)
def _one(written: str) -> Unit | None:
    if written in _SYMBOLS:
        return _SYMBOLS[written]
    name = written.casefold()
    return _NAMES.get(name) or _NAMES.get(name.removesuffix("s"))


def _times(unit: Unit | None, other: Unit, power: int) -> Unit:
    factor, dimensions = (unit.factor, dict(unit.dimensions)) if unit else (Fraction(1), {})
    for name, count in other.dimensions:
        dimensions[name] = dimensions.get(name, 0) + count * power
    left = frozenset((name, count) for name, count in dimensions.items() if count)
    return Unit(factor * other.factor**power, left)
