"""An index of sets of numbers that finds those within a text's numbers: a question is the same
exercise only where all of its numbers stand.

The sets hang in a tree, each by its numbers from the rarest to the most frequent, so that looking
for the sets within {"5", "20", "9.8"} goes down a few branches however many sets there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Node:
    ends: int | None = None
    branches: dict[str, _Node] = field(default_factory=dict)


class NumberSets:
    """Different sets of numbers; `of[i]` says which of them the i-th one given is."""

    def __init__(self, given: Sequence[frozenset[str]]) -> None:
        places: dict[frozenset[str], int] = {}
        self.of = [places.setdefault(numbers, len(places)) for numbers in given]
        frequency = Counter(number for numbers in places for number in numbers)
        self._root = _Node()
        for numbers, place in places.items():
            node = self._root
            for number in sorted(numbers, key=lambda number: (frequency[number], number)):
                node = node.branches.setdefault(number, _Node())
            node.ends = place

    def within(self, numbers: Set[str]) -> list[int]:
        """The sets all of whose numbers are among these; the empty set always is."""
        found: list[int] = []
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if node.ends is not None:
                found.append(node.ends)
            waiting += _next(node, numbers)
        return found


def _next(node: _Node, numbers: Set[str]) -> Iterable[_Node]:
    branches = node.branches
    if len(branches) < len(numbers):
        return [branch for number, branch in branches.items() if number in numbers]
    return [branches[number] for number in numbers if number in branches]
