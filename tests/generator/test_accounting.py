from __future__ import annotations

from stemma.generator.accounting import RequestTotals
from stemma.generator.requests import TokenUsage


def test_totals_are_written_into_the_manifest() -> None:
    totals = RequestTotals(asked={"a", "b"}, from_ledger=1, sent=2)
    totals.retried["rate limit"] += 1
    totals.unusable = {"a": "reply empty", "b": "reply empty"}
    totals.count_billed(TokenUsage(10, 4, 3), 0.25)
    totals.count_billed(TokenUsage(1, 0, 1), 0.5)
    totals.count_lost(0.125)
    assert totals.for_manifest() == {
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
    assert str(totals).endswith("0.75 USD and at most 0.12 USD for 1 lost replies")
