"""What operators, methods and filters of a template cost, and which of them there are.

Each price is paid before the work is done, and bounds what it makes. A method that is not listed
is refused: `encode` of a text, for one, makes bytes, which have methods of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.runtime import LoopContext
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from stemma.jinja_meter import ESCAPED, POWER, Meter, Runaway, bounded, keyed

OPERATORS: dict[str, Callable[[Any, Any], Any]] = SandboxedEnvironment.default_binop_table
HTML = 6
"""Characters that one character may become in HTML, e.g. `&#34;`."""
DIGITS = 8
"""Of a width or a precision."""
_SPECIFIED = re.compile(r"[%)][-+ #0]*(\d+|\*)?(?:\.(\d+|\*)?)?([a-zA-Z])?")
"""What may be a conversion of `%`; a key in brackets before it may hold anything."""
_DIGITS = re.compile(r"\d+")
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"

READING = {"count", "endswith", "find", "index", "rfind", "rindex", "startswith"}
READING |= {name for name in dir(str) if name.startswith("is")}
MAKING = {
    *("capitalize", "casefold", "center", "expandtabs", "join", "ljust", "lower", "lstrip"),
    *("partition", "removeprefix", "removesuffix", "replace", "rjust", "rpartition", "rsplit"),
    *("rstrip", "split", "splitlines", "strip", "swapcase", "title", "upper", "zfill"),
}
NOT_SEARCHED = {"endswith", "join", "removeprefix", "removesuffix", "splitlines", "startswith"}
METHODS: dict[type, set[str]] = {
    str: READING | MAKING,
    dict: {"copy", "get", "items", "keys", "values"},
    list: {"copy", "count", "index"},
    tuple: {"count", "index"},
    LoopContext: {"changed", "cycle"},
}


def operate(meter: Meter, sign: str, left: Any, right: Any) -> Any:
    """`left sign right`, paid for."""
    if isinstance(left, int | float) and isinstance(right, int | float):
        return _calculate(sign, left, right)
    if sign == "%" and isinstance(left, str):
        return _formatted(meter, left, right)
    if sign == "*":
        sequence, times = (right, left) if isinstance(left, int) else (left, right)
        if isinstance(times, int) and isinstance(sequence, str | list | tuple):
            pay(meter, sequence, len(sequence) * max(0, times))
    elif isinstance(left, str | list | tuple) and isinstance(right, str | list | tuple):
        longer = HTML if isinstance(left, Markup) or isinstance(right, Markup) else 1
        pay(meter, left, longer * (len(left) + len(right)))
    else:  # Views of dicts can be subtracted. All else fails.
        meter.weigh(left)
        meter.weigh(right)
    return OPERATORS[sign](left, right)


def _calculate(sign: str, left: float, right: float) -> Any:
    whole = isinstance(left, int) and isinstance(right, int)
    if sign == "**" and whole and (abs(int(left)).bit_length() - 1) * right > POWER:
        raise Runaway(f"it computes a number beyond 2**{POWER}")
    found = OPERATORS[sign](left, right)
    return bounded(found) if isinstance(found, int) else found


def pay(meter: Meter, like: Any, size: int) -> None:
    """Pay for a text or list of this size."""
    if isinstance(like, str):
        meter.text(size)
    else:
        meter.fits(size)
        meter.copied(size)


def _formatted(meter: Meter, text: str, given: Any) -> str:
    """`text % given`: the widths it names, and what is given as often as it may be named."""
    nodes, characters, _ = meter.weigh(given)
    found = _SPECIFIED.findall(text)
    meter.steps(2 * len(found))
    asked = [part for width, precision, _ in found for part in (width, precision)]
    widths = sum(map(_width, filter(str.isdigit, asked)))
    if "*" in asked:
        given_widths = given if isinstance(given, tuple) else (given,)
        widths += sum(abs(one) for one in given_widths if isinstance(one, int))
    longer = ESCAPED if any(kind in ("r", "a") for *_, kind in found) else 1
    if not isinstance(given, str | int | float):
        longer *= HTML if isinstance(text, Markup) else 1
        longer *= len(found) if isinstance(given, dict) else 1
        characters *= ESCAPED if nodes > 1 + len(given or ()) else 1
    meter.fits(len(text) + widths + longer * characters)
    made = text % given
    meter.text(len(made))
    return made


def _width(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Runaway(f"it asks for a width of {len(digits)} digits")
    return int(digits)


def field(meter: Meter, value: Any, specification: str) -> None:
    """A field of `str.format` with its widths filled in."""
    _, characters, _ = meter.weigh(value)
    longer = 1 if isinstance(value, str) else ESCAPED
    widths = sum(map(_width, _DIGITS.findall(specification)))
    meter.steps(4)
    meter.text(longer * characters + widths)


def converted(meter: Meter, value: Any) -> None:
    """A field of `str.format` that is written as `repr` does: `{!r}`."""
    _, characters, _ = meter.weigh(value)
    meter.text(ESCAPED * characters)


def method(meter: Meter, owner: Any, name: str, given: Sequence[Any]) -> None:
    """A call of a method of a text, list, dict or loop. Raises SecurityError for others."""
    known = METHODS.get(type(owner)) or next(
        (names for kind, names in METHODS.items() if isinstance(owner, kind)), ()
    )
    if name not in known:
        found = f"`{name}` of {type(owner).__name__} is not allowed in a template"
        raise SecurityError(found)
    if isinstance(owner, str):
        _text_method(meter, owner, name, given)
        return
    for one in given:
        meter.weigh(keyed(one) if name == "get" else one)
    if name in ("index", "count"):
        nodes, characters, _ = meter.weigh(owner)
        meter.steps(nodes + characters // 1000)
    elif name == "copy":
        meter.copied(len(owner))


def _text_method(meter: Meter, text: str, name: str, given: Sequence[Any]) -> None:
    size = len(text)
    if not given:
        if name in READING:
            meter.read(size)
        elif name in ("split", "rsplit", "splitlines"):
            meter.text(size)
            meter.steps(size // 8)
        elif name == "expandtabs":
            meter.text(8 * size)
        else:
            meter.fits(3 * size)
            meter.text(size)
        return
    characters = sum(meter.weigh(one)[1] for one in given)
    escaped = HTML if isinstance(text, Markup) else 1
    # A text is found in another in time of both lengths, where both are chosen for it.
    searched = 1 if name in NOT_SEARCHED else min(size, max(1, characters))
    meter.read(size * searched)
    if name in READING:
        return
    if name in ("split", "rsplit", "splitlines"):
        meter.steps(_pieces(text, *given))
    meter.text(escaped * _made(text, name, given, characters))


def _pieces(text: str, separator: Any = None, most: Any = -1) -> int:
    known = isinstance(separator, str) and separator
    found = text.count(separator) if known else len(text) // 8
    return min(found, most) if isinstance(most, int) and most >= 0 else found


def _made(text: str, name: str, given: Sequence[Any], characters: int) -> int:
    """The most characters that a method makes."""
    size = len(text)
    first = given[0]
    if name == "replace" and isinstance(first, str) and len(given) > 1:
        return replaced(text, first, given[1])
    if name == "join":
        return characters + size * (len(first) if hasattr(first, "__len__") else 0)
    if name in ("center", "ljust", "rjust", "zfill") and isinstance(first, int):
        return max(size, first)
    if name == "expandtabs" and isinstance(first, int):
        return size + text.count("\t") * max(0, first)
    return 3 * size


def replaced(text: str, old: str, new: Any) -> int:
    """The characters of a text where one is put for another as often as it stands there."""
    added = len(new) - len(old) if isinstance(new, str) else 0
    return len(text) + text.count(old) * max(0, added)


def line_ends(text: str) -> int:
    """The lines of a text, at most."""
    return sum(text.count(sign) for sign in _LINE_ENDS)
