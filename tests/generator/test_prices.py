from __future__ import annotations

import pytest

from stemma.generator.prices import Budget, Tally, price, worst_case
from stemma.generator.requests import Usage
from stemma.recipe.generator import Prices

PRICES = Prices(input=2.0, output=10.0, cached_input=1.0, batch=0.5)


def test_cached_tokens_and_batches_have_their_own_price() -> None:
    usage = Usage(input=1_000_000, cached=400_000, output=100_000)
    assert price(usage, PRICES, "sync") == pytest.approx(0.6 * 2 + 0.4 * 1 + 0.1 * 10)
    assert price(usage, PRICES, "batch") == pytest.approx(1.3)
    assert price(usage, Prices(input=2.0, output=10.0), "sync") == pytest.approx(3.0)


def test_the_worst_case_counts_a_token_for_every_byte_and_the_longest_reply() -> None:
    request = {"messages": [{"role": "user", "content": "é"}], "max_tokens": 100}
    assert len('{"messages": [{"role": "user", "content": "é"}], "max_tokens": 100}'.encode()) == 68
    assert worst_case(request, PRICES, "sync") == pytest.approx((68 * 2 + 100 * 10) / 1_000_000)
    assert worst_case(request, None, "sync") == 0


def test_a_budget_counts_what_is_in_flight() -> None:
    budget = Budget(1.0)
    budget.spent = 0.5
    assert budget.fits(0.5)
    budget.reserve(0.25)
    assert not budget.fits(0.26)
    budget.release(0.25)
    assert budget.fits(0.5)
    assert Budget(None).fits(1e9)


def test_a_tally_is_written_into_the_manifest() -> None:
    tally = Tally(asked={"a", "b"}, from_ledger=1, sent=2)
    tally.retried["rate limit"] += 1
    tally.unusable = {"a": "reply empty", "b": "reply empty"}
    tally.count(Usage(10, 4, 3), 0.25)
    tally.count(Usage(1, 0, 1), 0.5)
    tally.lose(0.125)
    assert tally.totals() == {
        "requests": 2,
        "from_ledger": 1,
        "sent": 2,
        "retried": {"rate limit": 1},
        "unusable": {"reply empty": 2},
        "input_tokens": 11,
        "cached_tokens": 4,
        "output_tokens": 4,
        "cost_usd": 0.75,
        "lost": 1,
        "lost_usd_at_most": 0.125,
    }
    assert str(tally).endswith("0.75 USD and at most 0.12 USD for 1 lost replies")
