"""Costs in USD by the recipe's price table: of a reply, of a request at most, and a budget."""

from __future__ import annotations

import json
from typing import Any, Literal

from stemma.generator.requests import TokenUsage, output_limit
from stemma.recipe.generator import Prices

Mode = Literal["sync", "batch"]
MILLION = 1_000_000


def price(usage: TokenUsage, prices: Prices, mode: Mode) -> float:
    """USD for the tokens that were billed."""
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    uncached = usage.input - usage.cached
    dollars = uncached * prices.input + usage.cached * cached_price + usage.output * prices.output
    discount = prices.batch if mode == "batch" else 1.0
    return dollars / MILLION * discount


def worst_case(request: dict[str, Any], prices: Prices | None, mode: Mode) -> float:
    """USD that a request cannot pass: no token is shorter than a byte, the reply has its limit."""
    if prices is None:
        return 0.0
    body = json.dumps(request, ensure_ascii=False).encode("utf-8", "replace")
    return price(TokenUsage(len(body), 0, output_limit(request) or 0), prices, mode)


class CostBudget:
    """Dollars spent, and reserved for requests in flight; together they never pass `most`."""

    def __init__(self, most: float | None) -> None:
        self.most = most
        self.spent = 0.0
        self._reserved = 0.0

    def fits(self, dollars: float) -> bool:
        return self.most is None or self.spent + self._reserved + dollars <= self.most

    def reserve(self, dollars: float) -> None:
        self._reserved += dollars

    def release(self, dollars: float) -> None:
        self._reserved -= dollars
