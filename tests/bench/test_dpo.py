"""What the CPU bench makes of its measurements, by hand."""

from __future__ import annotations

from bench.dpo import goals, report, summarise

SECONDS = {"trl": [1.0, 2.0, 4.0], "liger": [2.0, 2.0, 2.0], "ours": [0.5, 1.5, 2.8]}
MEMORY = {"trl": 400_000_000, "liger": 300_000_000, "ours": 240_000_000}
STEPS = {"stock": 12.0, "ours": 2.0, "reference": 3.0}
CONTEXT = {"command": "c", "date": "d", "hardware": "h", "sizes": "s", "load": "0.0", "versions": "v"}


def test_ratios_are_medians_of_the_rounds_own() -> None:
    found = summarise(SECONDS, MEMORY, STEPS)
    assert found["cpu_seconds, ours through"] == {"trl": 0.7, "liger": 0.75}
    assert found["extra_memory, ours through"] == {"trl": 0.6, "liger": 0.8}
    assert found["whole step, stock through ours"] == {"without the reference's pass": 6, "with a third of it": 4}


def test_the_issue_s_goals() -> None:
    rows = [goal.row() for goal in goals(summarise(SECONDS, MEMORY, STEPS))]
    assert [row[1:] for row in rows] == [
        ("at most 0.72 ×", "0.7 ×", "met"),
        ("at most 0.55 ×", "0.6 ×", "missed"),
        ("at least 3 ×", "4 ×", "met"),
    ]


def test_the_table() -> None:
    text = report(summarise(SECONDS, MEMORY, STEPS), CONTEXT)
    assert "| trl | 2.00 | 400 | 0.70 × | 0.60 × |" in text
    assert "| ours | 1.50 | 240 | – | – |" in text
