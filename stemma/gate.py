"""Gates: the checks that weights pass each time one step of the chain hands them to the next.

Every stage builds its gates with a `HandOver`, records them in its manifest's facts under `gates`,
and stops the chain with `demand` when one does not hold. The report prints them as recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from stemma.errors import GateFailed
from stemma.strict import Record

Direction = Literal["at most", "at least", "exactly"]


class Gate(Record):
    """One check: a measured value, the limit it is held against, and the verdict."""

    name: str
    """The figure that was measured, with its unit, e.g. `mean KL, nats per token`."""
    subject: str
    """The thing that was checked: a variant such as `gguf-Q8_0`, or a part such as `adapter`."""
    step: str
    """The step that is to blame when the gate fails."""
    value: float | None
    """None where the check could not be made; `reason` says why."""
    limit: float | None
    direction: Direction
    """On which side of the limit the value has to lie."""
    passed: bool | None
    """The verdict; None where the check could not be made."""
    n: int
    """The number of conversations, tokens, tensors, … it was measured on."""
    reason: str = ""

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.subject}: {self.name}: {self.reason}"
        verdict = "passed" if self.passed else "FAILED"
        limit = f"{self.direction} {_figure(self.limit or 0.0)}, n = {self.n:,}"
        return f"{self.subject}: {self.name}: {_figure(self.value)} ({limit}) {verdict}"


@dataclass(frozen=True)
class Budget:
    """The drift a copy of a model is allowed, on the tokens of real conversations."""

    max_kl: float
    """Mean KL(model || copy) in nats per token."""
    min_top1: float
    """Share of tokens where both find the same token likeliest."""


@dataclass(frozen=True)
class HandOver:
    """A step of the chain and what it made: all gates of one hand-over are built from it."""

    subject: str
    step: str

    def at_most(self, name: str, value: float, limit: float, n: int) -> Gate:
        return self._judged(name, value, "at most", limit, n)

    def at_least(self, name: str, value: float, limit: float, n: int) -> Gate:
        return self._judged(name, value, "at least", limit, n)

    def exactly(self, name: str, value: float, limit: float, n: int) -> Gate:
        return self._judged(name, value, "exactly", limit, n)

    def not_made(self, name: str, direction: Direction, reason: str) -> Gate:
        """A check that could not be made, so that the report shows it with its reason."""
        return Gate(
            name=name,
            subject=self.subject,
            step=self.step,
            value=None,
            limit=None,
            direction=direction,
            passed=None,
            n=0,
            reason=reason,
        )

    def _judged(self, name: str, value: float, direction: Direction, limit: float, n: int) -> Gate:
        # A NaN fails every comparison, as it must; and what was measured on nothing proves nothing.
        holds = {"at most": value <= limit, "at least": value >= limit, "exactly": value == limit}
        return Gate(
            name=name,
            subject=self.subject,
            step=self.step,
            value=float(value),
            limit=limit,
            direction=direction,
            passed=bool(n > 0 and holds[direction]),
            n=n,
        )


def demand(gates: Sequence[Gate], blame: str, hint: str = "") -> None:
    """Stop the chain unless every gate holds.

    Raises GateFailed with `blame`, the figures of all given gates, and the hint; also when there
    are no gates at all.
    """
    if gates and not failed(gates):
        return
    lines = [blame, *(f"  {gate}" for gate in gates), *([hint] if hint else [])]
    raise GateFailed("\n".join(lines))


def failed(gates: Iterable[Gate]) -> list[Gate]:
    """The gates that were measured and do not hold."""
    return [gate for gate in gates if gate.passed is False]


def recorded(gates: Iterable[Gate]) -> list[dict[str, Any]]:
    """Gates as a manifest's facts or a JSON file hold them."""
    return [gate.model_dump() for gate in gates]


def read_gates(record: object) -> list[Gate] | None:
    """The gates of a manifest's facts; None where an earlier Stemma recorded them otherwise."""
    if not isinstance(record, list):
        return None
    try:
        return [Gate.model_validate(one) for one in record]
    except ValidationError:
        return None


def _figure(value: float) -> str:
    """A count in full, a measurement with four significant digits."""
    return f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
