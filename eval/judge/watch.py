"""The watch over a judge: stops one that is of no use, before all is paid for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from eval.judge.verdicts import OrderVerdict
from stemma.errors import StageFailed

VERDICTS_TO_JUDGE_BY = 20
"""Verdicts that a judge is known by. All for one place: a fair judge gives so many once in 500,000
times."""
TRIAL_PAIRS = VERDICTS_TO_JUDGE_BY // 2
"""Pairs that are judged before the others are sent, so that a useless judge costs no more."""


class JudgeWatch:
    """Counts of verdicts by the place they fell on."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.invalid: Counter[str] = Counter()

    def record(self, orders: Iterable[OrderVerdict]) -> None:
        """Notes verdicts. Raises StageFailed once enough of them show that the judge is useless."""
        for order in orders:
            if order.place is None:
                self.invalid[order.problem or ""] += 1
            else:
                self.places[order.place] += 1
        if problem := self.problem():
            raise StageFailed(f"the judge is of no use: {problem}")

    def problem(self) -> str | None:
        """What is wrong with the judge, as far as its verdicts tell yet."""
        invalid = self.invalid.total()
        total = self.places.total() + invalid
        if total >= VERDICTS_TO_JUDGE_BY and 2 * invalid > total:
            reasons = ", ".join(f"{count} x {name}" for name, count in self.invalid.most_common())
            return f"of {total} verdicts {invalid} are invalid ({reasons})"
        first, second = self.places["first"], self.places["second"]
        if first + second >= VERDICTS_TO_JUDGE_BY and 0 in (first, second):
            place = "first" if first else "second"
            return (
                f"all {first + second} of its verdicts but ties name the answer that was shown "
                f"{place}, though each pair was shown in both orders"
            )
        return None
