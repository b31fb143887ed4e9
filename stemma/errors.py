"""Errors that a user can fix: where, what was found, what was expected, a hint; all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

PROBLEMS_SHOWN = 20
"""Different problems of one file that are told, at most."""
COUNTED = 10_000
"""Problems of one file after which counting ends: a wrong file of a million rows is not read to its
end."""
SHOWN = 200
"""Characters of a wrong value that are shown, at most."""
PLACES = 3
"""Places of one problem that are named, at most."""


@dataclass(frozen=True)
class Problem:
    """One thing to fix. `where` is `file:line`, a recipe key, or a path."""

    where: str
    found: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        # A name may hold line ends: what it says must not pass for a line of Stemma's own.
        lines = [f"{self.where.replace(chr(10), '␊')}: {_continued(self.found)}"]
        if self.expected:
            lines.append(f"  expected: {_continued(self.expected)}")
        if self.hint:
            lines.append(f"  hint: {_continued(self.hint)}")
        return "\n".join(lines)


def _continued(text: str) -> str:
    """A text whose further lines stand deeper than any first one."""
    return text.replace("\n", "\n    ")


@dataclass
class Problems:
    """Collection of problems; equal ones become one, with their count and first places."""

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
        return [
            replace(one, where=first, found=one.found + _more(others))
            for one, (first, *others) in found
        ]


def _more(others: list[str]) -> str:
    if not others:
        return ""
    count = len(others) + 1
    named = ", ".join(others[: PLACES - 1]) + (", …" if count > PLACES else "")
    return (
        f" ({f'{COUNTED:,} or more' if count >= COUNTED else f'{count:,}'} times: also at {named})"
    )


def brief(value: object) -> str:
    """A value as a message shows it: only its beginning where it is long."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint `did you mean …?` with the known name most like `name`; empty where none is."""
    from rapidfuzz import fuzz, process

    best = process.extractOne(name, known, scorer=fuzz.ratio, score_cutoff=70)  # of 100
    return f"did you mean `{best[0]}`?" if best else ""


class UserError(Exception):
    """Failure that the user can fix: exit code 2, no traceback."""

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class StageFailed(Exception):
    """Failure of a stage or an engine although the input was right: exit code 1, no traceback."""


class GateFailed(StageFailed):
    """Damage to the model at a hand-over; says which step broke it and by how much."""
