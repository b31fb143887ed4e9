"""The errors a user can fix: where, what was found, what was expected, a hint. All problems are reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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


class UserError(Exception):
    """The user can fix this: exit code 2, no traceback."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StageFailed(Exception):
    """A stage or one of its engines failed although the input was right: exit code 1, no traceback."""


class GateFailed(StageFailed):
    """A hand-over damaged the model. Says which step broke it and by how much."""
