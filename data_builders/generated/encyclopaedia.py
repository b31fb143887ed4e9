"""A small synthetic encyclopaedia: things that nobody has heard of, and what they are made of.

    {"id": "lumara-tower", "title": "Lumara tower", "text": "The Lumara tower is made of copper."}

The names of the encyclopaedia are kept apart from those that training contexts speak of: what is
asked of it at the end stood in no training row, so that it can be answered from a passage alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

SYLLABLES = tuple(first + last for first in "bdfgklmnrstv" for last in "aou")
KINDS = ("bridge", "crown", "door", "lamp", "ship", "tower", "wall", "wheel")
MATERIALS = (
    "carbon",
    "copper",
    "gold",
    "iron",
    "lead",
    "silicon",
    "silver",
    "sulfur",
    "tin",
    "zinc",
)
ENTRIES = 96
"""Things in the encyclopaedia."""


@dataclass(frozen=True)
class Fact:
    """One thing and what it is made of."""

    name: str
    kind: str
    material: str

    @property
    def id(self) -> str:
        return f"{self.name}-{self.kind}".lower()

    @property
    def title(self) -> str:
        return f"{self.name} {self.kind}"

    @property
    def text(self) -> str:
        return f"The {self.title} is made of {self.material}."

    @property
    def question(self) -> str:
        return f"What is the {self.title} made of?"


def entries(seed: int) -> list[Fact]:
    """The encyclopaedia."""
    return _facts(_names(seed)[:ENTRIES], random.Random(f"{seed}/entries"))


def other_facts(seed: int, series: str) -> Iterator[list[Fact]]:
    """Facts of other names without end, two at a time, for training contexts: in each series others,
    and the same name made of something else each time."""
    rng = random.Random(f"{seed}/{series}")
    names = _names(seed)[ENTRIES:]
    while True:
        first, second = rng.sample(names, 2)
        kind = rng.choice(KINDS)
        yield [Fact(name, kind, rng.choice(MATERIALS)) for name in (first, second)]


def _names(seed: int) -> list[str]:
    names = ["".join(pair).capitalize() for pair in product(SYLLABLES, repeat=2)]
    random.Random(f"{seed}/names").shuffle(names)
    return names


def _facts(names: list[str], rng: random.Random) -> list[Fact]:
    return [Fact(name, rng.choice(KINDS), rng.choice(MATERIALS)) for name in names]


def choices_of(fact: Fact, seed: int) -> list[str]:
    """Four materials, the right one among them, in an order of the question's own."""
    rng = random.Random(f"{seed}/{fact.question}")
    wrong = rng.sample([one for one in MATERIALS if one != fact.material], 3)
    found = [fact.material, *wrong]
    rng.shuffle(found)
    return found
