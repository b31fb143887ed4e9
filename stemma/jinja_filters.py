"""Jinja's filters and tests, each behind its price.

`pprint`, `random`, `urlize`, `wordwrap` and `xmlattr` are left out: no chat template needs them,
and what they cost does not follow from what they are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from jinja2.environment import Environment
from jinja2.filters import FILTERS as JINJAS_FILTERS
from jinja2.runtime import LoopContext
from jinja2.tests import TESTS as JINJAS_TESTS
from jinja2.utils import _PassArg, pass_environment

from stemma.jinja_meter import ESCAPED, Meter, Runaway, keyed
from stemma.jinja_prices import HTML, line_ends, operate, replaced

Price = Callable[..., None]
"""Takes the meter, then what the filter is given."""

CHEAP = ("abs", "attr", "count", "d", "default", "first", "items", "last", "length")
"""They look at one value only, and are worth the step that every filter costs."""
WIDEST_INDENT = 100
PRECISION = 400
"""Digits behind the point."""


def _size(value: Any) -> int:
    return len(value) if hasattr(value, "__len__") else 0


def _each(meter: Meter, value: Any, *given: Any, **named: Any) -> None:
    """What looks at each item: at an attribute of it, which may be a path, or by a test or filter,
    which pays for itself."""
    path = sum(_size(one) for one in (*given, *named.values()) if isinstance(one, str))
    meter.steps((2 + path // 4) * _size(value))


def _deep(meter: Meter, *given: Any, **named: Any) -> None:
    """What makes a text of texts, or compares values as deep as they go."""
    characters = sum(meter.weigh(one)[1] for one in (*given, *named.values()))
    meter.fits(ESCAPED * characters if not isinstance(given[0], str) else 3 * characters)


def _words(meter: Meter, value: Any, *given: Any, **named: Any) -> None:
    _deep(meter, value, *given, **named)
    meter.steps(_size(value) // 4)


def _tags(meter: Meter, value: Any) -> None:
    """Each tag is cut out of the whole text."""
    _words(meter, value)
    text = str(value)
    meter.read(text.count("<") * len(text))


def _html(meter: Meter, value: Any) -> None:
    _, characters, _ = meter.weigh(value)
    meter.fits((HTML if isinstance(value, str) else HTML * ESCAPED) * characters)


def _sorted(meter: Meter, value: Any, *given: Any, **named: Any) -> None:
    """Every item is compared with about as many others as their number has digits; its key may be a
    copy in lower case."""
    nodes, characters, _ = meter.weigh(value)
    path = sum(_size(one) for one in (*given, *named.values()) if isinstance(one, str))
    items = max(nodes, _size(value))
    meter.text(characters)
    meter.steps((items + characters // 200) * items.bit_length() // 2)
    meter.steps((4 + path) * items)


def _unique(meter: Meter, value: Any, *given: Any, **named: Any) -> None:
    _sorted(meter, value, *given, **named)
    if not isinstance(value, str):
        for one in value:
            keyed(one)


def _sum(meter: Meter, value: Any, *given: Any, **named: Any) -> None:
    """Lists are copied for each list that is added."""
    _each(meter, value, *given, **named)
    nodes, _, _ = meter.weigh(value)
    start = named.get("start", given[1] if len(given) > 1 else 0)
    if not isinstance(start, int | float):
        more, _, _ = meter.weigh(start)
        meter.steps(_size(value) * (nodes + more) // 8)


def _join(meter: Meter, value: Any, between: Any = "", attribute: Any = None) -> None:
    _each(meter, value, attribute)
    _, characters, _ = meter.weigh(value)
    _, more, _ = meter.weigh(between)
    plain = isinstance(value, str) or all(isinstance(one, str) for one in value)
    meter.fits((1 if plain else ESCAPED) * characters + ESCAPED * more * _size(value))
    meter.text(more * _size(value))


def _center(meter: Meter, value: Any, width: Any = 80) -> None:
    _deep(meter, value)
    meter.fits(width if isinstance(width, int) else 0)


def _replace(meter: Meter, value: Any, old: Any, new: Any, *_given: Any, **_named: Any) -> None:
    _deep(meter, value)
    text, old, new = str(value), str(old), str(new)
    meter.read(len(text) * min(len(text), max(1, len(old))))
    meter.fits(HTML * replaced(text, old, new) if text is not value else replaced(text, old, new))


def _indent(meter: Meter, value: Any, width: Any = 4, *_given: Any, **_named: Any) -> None:
    _deep(meter, value)
    wide = len(width) if isinstance(width, str) else width
    if isinstance(value, str) and isinstance(wide, int):
        meter.fits(len(value) + (2 + line_ends(value)) * max(0, wide))
        meter.steps(line_ends(value))


def _batch(meter: Meter, value: Any, linecount: Any, fill_with: Any = None) -> None:
    """A batch may be filled up."""
    _each(meter, value)
    if isinstance(linecount, int):
        meter.steps(max(0, linecount) if fill_with is not None else 0)


def _slice(meter: Meter, value: Any, slices: Any, *_given: Any, **_named: Any) -> None:
    _each(meter, value)
    meter.steps(max(0, slices) if isinstance(slices, int) else 0)


def _format(meter: Meter, text: Any, *given: Any, **named: Any) -> None:
    """Priced by `%`, which it is."""
    operate(meter, "%", str(text), named or given)


def _round(_meter: Meter, _value: Any, precision: Any = 0, *_given: Any, **_named: Any) -> None:
    if isinstance(precision, int | float) and abs(precision) > PRECISION:
        raise Runaway(f"it rounds to {precision:.0f} digits")


def _number(_meter: Meter, value: Any, *_given: Any, **_named: Any) -> None:
    """A number of thousands of digits is none that a template needs."""
    if isinstance(value, str) and len(value) > PRECISION:
        raise Runaway(f"it reads a number of {len(value):,} characters")


def _url(meter: Meter, value: Any) -> None:
    nodes, characters, _ = meter.weigh(value)
    meter.steps(4 * nodes + characters // 4)
    meter.fits(2 * HTML * characters)


def _whole(_meter: Meter, value: Any, *_given: Any) -> None:
    """Of a text `%` would make a text."""
    if not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is no number")


def _compared(meter: Meter, value: Any, other: Any) -> None:
    meter.weigh(value)
    meter.weigh(other)


def _within(meter: Meter, value: Any, inside: Any) -> None:
    within(meter, value, inside)


def within(meter: Meter, value: Any, inside: Any) -> None:
    """Pay for `value in inside`."""
    _, characters, _ = meter.weigh(keyed(value) if isinstance(inside, dict) else value)
    if isinstance(inside, str):
        meter.read(len(inside) * min(len(inside), max(1, characters)))
    elif isinstance(inside, dict):
        return
    else:
        nodes, _, _ = meter.weigh(inside)
        meter.read(nodes * characters)


def to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The filter `tojson` as transformers has it; Jinja's own escapes HTML."""
    given: dict[str, Any] = {"indent": indent, "separators": separators, "sort_keys": sort_keys}
    return json.dumps(value, ensure_ascii=ensure_ascii, **given)


def _to_json(meter: Meter, value: Any, *given: Any, **named: Any) -> None:
    options = dict(zip(("ensure_ascii", "indent", "separators", "sort_keys"), given, strict=False))
    options |= named
    nodes, characters, depth = meter.weigh(value)
    indent = options.get("indent") or 0
    wide = len(indent) if isinstance(indent, str) else int(indent)
    if wide > WIDEST_INDENT:
        raise Runaway(f"it indents by {wide:,} characters")
    _, between, _ = meter.weigh(options.get("separators"))
    layout = nodes * (between + max(0, wide) * depth)
    meter.fits(2 * HTML * characters + layout)
    meter.text(layout)
    meter.steps(nodes + characters // 64)


_PRICES: dict[Price, tuple[str, ...]] = {
    _each: ("list", "map", "reject", "rejectattr", "reverse", "select", "selectattr"),
    _deep: ("capitalize", "lower", "safe", "string", "trim", "truncate", "upper"),
    _words: ("title", "wordcount"),
    _tags: ("striptags",),
    _html: ("e", "escape", "forceescape"),
    _sorted: ("dictsort", "groupby", "max", "min", "sort"),
    _unique: ("unique",),
    _sum: ("sum",),
    _join: ("join",),
    _center: ("center",),
    _replace: ("replace",),
    _indent: ("indent",),
    _batch: ("batch",),
    _slice: ("slice",),
    _format: ("format",),
    _round: ("round",),
    _number: ("filesizeformat", "float", "int"),
    _url: ("urlencode",),
    _to_json: ("tojson",),
}
_TEST_PRICES: dict[Price, tuple[str, ...]] = {
    _whole: ("divisibleby", "even", "odd"),
    _within: ("in",),
    _deep: ("lower", "upper"),
    _compared: tuple(
        name
        for name in JINJAS_TESTS
        if getattr(JINJAS_TESTS[name], "__module__", "") == "_operator"
    ),
}


def _metered(function: Callable[..., Any], price: Price) -> Callable[..., Any]:
    """A filter or test that pays before it works, and for what it gives back."""
    passed = _PassArg.from_obj(function)

    @wraps(function)
    def filtered(first: Any, *given: Any, **named: Any) -> Any:
        environment: Any = first if isinstance(first, Environment) else first.environment
        meter: Meter = environment.meter
        if given and isinstance(given[0], LoopContext):
            raise TypeError("`loop` is no list")
        values = [meter.settled(one) for one in given]
        price(meter, *values, **named)
        # An iterator stays one: it has no length.
        own = [one if one is asked else iter(one) for one, asked in zip(values, given, strict=True)]
        front = () if passed is None else (first,)
        return meter.made(function(*front, *own, **named))

    return filtered if passed is not None else pass_environment(filtered)


def _priced(known: dict[str, Any], prices: dict[Price, tuple[str, ...]]) -> dict[str, Any]:
    found = {name: price for price, names in prices.items() for name in names}
    return {name: _metered(known[name], price) for name, price in found.items()}


FILTERS = {name: JINJAS_FILTERS[name] for name in CHEAP} | _priced(
    JINJAS_FILTERS | {"tojson": to_json}, _PRICES
)
TESTS = JINJAS_TESTS | _priced(dict(JINJAS_TESTS), _TEST_PRICES)
