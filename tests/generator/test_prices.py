from __future__ import annotations

import pytest

from stemma.generator.prices import CostBudget, price, worst_case
from stemma.generator.requests import TokenUsage
from stemma.recipe.generator import Prices

PRICES = Prices(input=2.0, output=10.0, cached_input=1.0, batch=0.5)


def test_cached_tokens_and_batches_have_their_own_price() -> None:
    usage = TokenUsage(input=1_000_000, cached=400_000, output=100_000)
    assert price(usage, PRICES, "sync") == pytest.approx(0.6 * 2 + 0.4 * 1 + 0.1 * 10)
    assert price(usage, PRICES, "batch") == pytest.approx(1.3)
    assert price(usage, Prices(input=2.0, output=10.0), "sync") == pytest.approx(3.0)


def test_the_worst_case_counts_a_token_for_every_byte_and_the_longest_reply() -> None:
    request = {"messages": [{"role": "user", "content": "é"}], "max_tokens": 100}
    assert len('{"messages": [{"role": "user", "content": "é"}], "max_tokens": 100}'.encode()) == 68
    assert worst_case(request, PRICES, "sync") == pytest.approx((68 * 2 + 100 * 10) / 1_000_000)
    assert worst_case(request, None, "sync") == 0


def test_a_budget_counts_what_is_in_flight() -> None:
    budget = CostBudget(1.0)
    budget.spent = 0.5
    assert budget.fits(0.5)
    budget.reserve(0.25)
    assert not budget.fits(0.26)
    budget.release(0.25)
    assert budget.fits(0.5)
    assert CostBudget(None).fits(1e9)
