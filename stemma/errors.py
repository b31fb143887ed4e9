"""The errors a user can fix: where, what was found, what was expected, a hint. All problems are reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

PROBLEMS_SHOWN = 20
"""Different problems of one file that are told at once."""
COUNTED = 10_000
"""Problems of one file behind which counting ends: nobody reads a wrong file of a million rows to its end."""
PLACES = 3
"""How many of the places of one problem are named."""


@dataclass(frozen=True)
class Problem:
    """One thing to fix. `where` is `file:line`, a recipe key, or a path."""

    where: str
    found: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.found}"]
        if self.expected:
            lines.append(f"  expected: {self.expected}")
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


@dataclass
class Problems:
    """Problems as they are met. Equal ones are one, with their count and first places."""

    _places: dict[Problem, list[str]] = field(default_factory=dict)
    _count: int = 0

    def add(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._count += 1
            self._places.setdefault(replace(problem, where=""), []).append(problem.where)

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def are_enough(self) -> bool:
        """Whether looking for more would tell nobody anything."""
        return len(self._places) >= PROBLEMS_SHOWN or self._count >= COUNTED

    def listed(self) -> list[Problem]:
        """Each problem at its first place, the others counted."""
        found = list(self._places.items())[:PROBLEMS_SHOWN]
        return [replace(one, where=first, found=one.found + _more(others)) for one, (first, *others) in found]


def _more(others: list[str]) -> str:
    if not others:
        return ""
    count = len(others) + 1
    named = ", ".join(others[: PLACES - 1]) + (", …" if count > PLACES else "")
    return f" ({f'{COUNTED:,} or more' if count >= COUNTED else f'{count:,}'} times: also at {named})"


class UserError(Exception):
    """The user can fix this: exit code 2, no traceback."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StageFailed(Exception):
    """A stage or one of its engines failed although the input was right: exit code 1, no traceback."""


class GateFailed(StageFailed):
    """A hand-over damaged the model. Says which step broke it and by how much."""
