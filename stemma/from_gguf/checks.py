"""What a proof consists of: a figure, its limit, and on how much it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemma.errors import GateFailed


@dataclass(frozen=True)
class Check:
    """One comparison; it holds when `measured` is at most `limit`."""

    what: str
    measured: float
    limit: float
    n: int
    """Conversations, keys, weights or tokens it was measured on."""

    @property
    def passed(self) -> bool:
        return self.n > 0 and self.measured <= self.limit  # a NaN fails, as it must

    def __str__(self) -> str:
        verdict = "" if self.passed else "  FAILED"
        return f"{self.what}: {self.measured:.3g} (limit {self.limit:g}, n = {self.n:,}){verdict}"


def demand(checks: Sequence[Check]) -> None:
    """Raises GateFailed with every figure when one check does not hold."""
    if not checks or not all(check.passed for check in checks):
        figures = "\n".join(f"  {check}" for check in checks)
        raise GateFailed(f"the folder is not the model of the file; nothing is written.\n{figures}")
