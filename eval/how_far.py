"""Progress of an evaluation: the rows of all variants, and how many of them are measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stemma.heard import Hearing, Telling
from stemma.progress import At, show

ROWS = "rows"


class HowFar:
    """The rows of all variants, counted in the measuring process, which starts the workers."""

    def __init__(self) -> None:
        self._planned: dict[str, int] = {}
        self._variant = ""
        self._before = 0
        """Rows of the variants before."""

    def plan(self, rows: Mapping[str, int]) -> None:
        """Say what is to be measured: rows by variant."""
        self._planned = {name: count for name, count in rows.items() if count}
        self._variant, self._before = "", 0

    def begin(self, variant: str) -> None:
        """The next variant."""
        self._before += self._planned.get(self._variant, 0)
        self._variant = variant
        if variant in self._planned:
            at = self.at(At("loading", 0))
            show(at.doing, at.done, at.total, at.unit, at.note)

    def hearing(self, told_in: Path) -> Hearing:
        """What shows the words of the variant's worker."""
        return Hearing(told_in, self.at)

    def at(self, told: At) -> At:
        """All variants' progress, by that of one worker."""
        names = list(self._planned)
        ours = min(told.done or 0, self._planned.get(self._variant, 0))
        number = names.index(self._variant) + 1 if self._variant in names else 0
        place = f" ({number} of {len(names)})" if number else ""
        note = f"{self._variant}{place}: {told.doing}"
        return At("measuring", self._before + ours, sum(self._planned.values()), ROWS, note)


class RowsTold:
    """The worker's side: each row that is kept is one more."""

    def __init__(self, told_in: Path | None) -> None:
        self._telling = Telling(told_in)
        self._done = 0

    def doing(self, text: str) -> None:
        """Say what is being done."""
        self._telling.tell(At(text, self._done))

    def one_more(self, task: str) -> None:
        """A row of this task is kept."""
        self._done += 1
        self.doing(task)


NOBODY = RowsTold(None)


def told_in(job_path: Path) -> Path:
    """The file in which a job's worker tells how far it is."""
    return job_path.with_suffix(".progress")
