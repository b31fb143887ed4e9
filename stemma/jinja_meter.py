"""The meter of a template's rendering: steps, and characters made; what is beyond is refused.

Steps are counted, not seconds, so that a template renders on every machine or on none. What costs
more than a step pays by its size before it is done: `stemma/jinja_prices.py` holds the prices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2.runtime import LoopContext, Undefined
from jinja2.utils import Namespace
from markupsafe import Markup

STEPS = 1_000_000
"""Of one rendering: about a second at most."""
CHARACTERS = 64_000_000
"""Of all texts that one rendering makes: a text of 10 MB can be put together in several steps."""
MADE_A_STEP = 256
"""Characters that are made, e.g. joined or replaced, for the price of a step."""
READ_A_STEP = 1000
"""Characters that are only looked at."""
COPIED_A_STEP = 8
"""Places of a list."""
POWER = 60
"""Of 2, which is the largest number that a template computes: beyond the 61st numbers could be made
to collide as keys."""
ESCAPED = 10
"""Characters that one character may become where a list is written."""
DEEPEST = 200
"""Lists in lists."""
VIEWS: Any = type({}.keys()) | type({}.values()) | type({}.items())

Weight = tuple[int, int, int]
"""Of a value: how many values it holds, how many characters, how deep they lie."""


class Runaway(Exception):
    """A template that asks for more than a rendering may take."""


class Meter:
    """What one rendering has left."""

    __slots__ = ("left", "room")

    def __init__(self) -> None:
        self.left = STEPS
        self.room = CHARACTERS

    def steps(self, count: int) -> None:
        """Pay for work."""
        self.left -= count
        if self.left < 0:
            raise Runaway(f"it takes more than {STEPS:,} steps")

    def block(self, steps: int, characters: int) -> None:
        """Pay for a block of statements as it is entered, the texts that it writes included."""
        self.left -= steps
        self.room -= characters
        if self.left < 0 or self.room < 0:
            self.steps(0)
            self.text(0)

    def condition(self, steps: int) -> bool:
        """Pay for the condition of a loop, which is then looked at: `{% for x in y if … %}`."""
        self.steps(steps)
        return True

    def fits(self, characters: int) -> None:
        """Refuse what would make too long a text, before it is made."""
        if characters > self.room:
            raise Runaway(f"it makes more than {CHARACTERS:,} characters")

    def text(self, characters: int) -> None:
        """Pay for a text that is made."""
        self.fits(characters)
        self.room -= characters
        self.steps(characters // MADE_A_STEP)

    def read(self, characters: int) -> None:
        """Pay for a text that is looked at."""
        self.steps(characters // READ_A_STEP)

    def copied(self, places: int) -> None:
        """Pay for a list that is made."""
        self.steps(places // COPIED_A_STEP)

    def weigh(self, value: Any) -> Weight:
        """Pay for looking at a value as deep as it goes: to compare, sort or write it."""
        kind = type(value)
        if kind is str:
            self.read(len(value))
            return 1, len(value), 0
        nodes, characters, depth = 1, 0, 0
        level = [value]
        while level:
            deeper: list[Any] = []
            for one in level:
                if isinstance(one, str):
                    characters += len(one)
                elif (inner := self._inside(one)) is not None:
                    deeper += inner
            nodes += len(deeper)
            depth += 1
            level = deeper
            if depth > DEEPEST:
                raise Runaway(f"it puts lists into lists, more than {DEEPEST} deep")
        self.read(characters)
        return nodes, characters, depth

    def looked(self, value: Any) -> Any:
        """An operand of a comparison."""
        if type(value) is not int:
            self.weigh(value)
        return value

    def _inside(self, value: Any) -> Any:
        """The values in a value, paid for; None: there are none."""
        if isinstance(value, dict):
            self.steps(2 * len(value))
            return [*value, *value.values()]
        if isinstance(value, list | tuple | set | VIEWS):
            self.steps(len(value))
            return value
        if isinstance(value, Namespace):
            return self._inside(attributes_of(value))
        if isinstance(value, range | LoopContext):
            self.steps(len(value))
        return None

    def settled(self, value: Any) -> Any:
        """A value as it is, or an iterator's values as a list: they are paid for as they come."""
        if not isinstance(value, Iterator) or isinstance(value, LoopContext):
            return value
        found = []
        for one in value:
            self.steps(1)
            found.append(one)
        return found

    def made(self, value: Any) -> Any:
        """Pay for what a filter or a method gives back."""
        if isinstance(value, str):
            self.text(len(value))
        elif isinstance(value, int):
            return bounded(value)
        elif isinstance(value, list | tuple):
            self.copied(len(value))
        elif isinstance(value, Iterator) and not isinstance(value, LoopContext):
            return iter(self.settled(value))
        return value

    def written(self, value: Any) -> Any:
        """A value as it is put into the text."""
        if type(value) is str:
            self.text(len(value))
        elif type(value) is int:
            return value
        elif isinstance(value, Markup):
            self.text(len(value))
        elif isinstance(value, dict | list | tuple | set | Namespace | VIEWS):
            _, characters, _ = self.weigh(value)
            self.fits(ESCAPED * characters)
            text = str(value)
            self.text(len(text))
            return text
        return value

    def joinable(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """The operands of `~`."""
        return tuple(self.written(value) for value in values)


def attributes_of(value: Namespace) -> dict[str, Any]:
    """What `namespace(…)` holds."""
    found: dict[str, Any] = object.__getattribute__(value, "_Namespace__attrs")
    return found


def bounded(value: int) -> int:
    """A number that a template computes. Raises Runaway where it is too large."""
    if abs(value) <= 2**POWER:
        return value
    raise Runaway(f"it computes a number beyond 2**{POWER}")


def keyed(value: Any) -> Any:
    """A key of a dict, or a place in a list. Tuples are none here: hashing them may cost far more
    than it seems."""
    if value is None or isinstance(value, str | int | float | Undefined):
        return value
    raise TypeError(f"{type(value).__name__} is no key in a template")
