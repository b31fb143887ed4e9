"""What requests cost by the recipe's price table, what they may cost at most, and what a build asked for in all."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal

from stemma.generator.requests import Usage, output_limit
from stemma.recipe.generator import Prices

Mode = Literal["sync", "batch"]
MILLION = 1_000_000


def price(usage: Usage, prices: Prices, mode: Mode) -> float:
    """USD for what was billed."""
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    fresh = usage.input - usage.cached
    dollars = (fresh * prices.input + usage.cached * cached_price + usage.output * prices.output) / MILLION
    return dollars * (prices.batch if mode == "batch" else 1.0)


def worst_case(request: dict[str, Any], prices: Prices | None, mode: Mode) -> float:
    """USD that a request cannot pass: no token is shorter than a byte, and the reply has its limit."""
    if prices is None:
        return 0.0
    most_input = len(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))
    return price(Usage(most_input, 0, output_limit(request) or 0), prices, mode)


class Budget:
    """Dollars spent, and reserved for what is in flight; together they never pass `most`."""

    def __init__(self, most: float | None) -> None:
        self.most, self.spent, self._reserved = most, 0.0, 0.0

    def fits(self, dollars: float) -> bool:
        return self.most is None or self.spent + self._reserved + dollars <= self.most

    def reserve(self, dollars: float) -> None:
        self._reserved += dollars

    def release(self, dollars: float) -> None:
        self._reserved -= dollars


@dataclass
class Tally:
    """What a build asked for. A request counts once, however many rows share its reply."""

    asked: set[str] = field(default_factory=set)
    from_ledger: int = 0
    sent: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    """Requests sent again, by what came in place of a reply."""
    unusable: dict[str, str] = field(default_factory=dict)
    """Why a reply cannot be used, by its request's key."""
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    lost: int = 0
    lost_usd: float = 0.0
    """Requests that were sent and brought no reply, though the server may bill them, and what they cost at most."""

    def lose(self, dollars: float) -> None:
        self.lost += 1
        self.lost_usd += dollars

    def count(self, usage: Usage, dollars: float) -> None:
        self.input_tokens += usage.input
        self.cached_tokens += usage.cached
        self.output_tokens += usage.output
        self.cost_usd += dollars

    def __str__(self) -> str:
        lost = f" and at most {self.lost_usd:.2f} USD for {self.lost} lost replies" if self.lost else ""
        return f"{self.from_ledger} replies from the ledger, {self.sent} requests sent, {self.cost_usd:.2f} USD{lost}"

    def totals(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "requests": len(self.asked),
            "from_ledger": self.from_ledger,
            "sent": self.sent,
            "retried": dict(sorted(self.retried.items())),
            "unusable": dict(sorted(Counter(self.unusable.values()).items())),
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": round(self.cost_usd, 6),
            "lost": self.lost,
            "lost_usd_at_most": round(self.lost_usd, 6),
        }
