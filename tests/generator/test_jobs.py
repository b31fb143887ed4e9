from __future__ import annotations

from stemma.generator.jobs import Origin, Reply, merge_origins


def test_a_result_of_several_replies_has_one_origin() -> None:
    first = Reply("a", Origin("m-2", "2026-03-01", "p1", 1, 0.25))
    second = Reply("b", Origin("m-1", "2026-03-02", "p2", 2, 0.5))
    merged = merge_origins([first, second])
    assert (merged.model, merged.date, merged.requests, merged.cost_usd) == (
        "m-1, m-2",
        "2026-03-02",
        3,
        0.75,
    )
    assert merged.prompt_sha256 not in ("p1", "p2")
    assert merge_origins([first]) == first.origin
    unpriced = Reply("c", Origin("m-1", "2026-03-02", "p2", 2))
    assert merge_origins([first, unpriced]).cost_usd is None
