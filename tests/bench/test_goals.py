"""Goals: at least, at most, not measured."""

from __future__ import annotations

from bench.goals import Goal, goal_table


def test_the_bound_itself_is_met() -> None:
    assert Goal("pace", 3, "×", 3.0, at_least=True).verdict == "met"
    assert Goal("pace", 3, "×", 2.99, at_least=True).verdict == "missed"
    assert Goal("memory", 0.6, "×", 0.6).verdict == "met"
    assert Goal("memory", 0.6, "×", 0.61).verdict == "missed"


def test_nothing_is_claimed_for_what_was_not_measured() -> None:
    assert (
        Goal("pace", 3, "×", None, unmeasured="not measured on a CPU").verdict
        == "not measured on a CPU"
    )


def test_the_table() -> None:
    lines = goal_table(
        [Goal("pace", 3, "×", 4.126, at_least=True), Goal("run", 15, "min", None)]
    ).splitlines()
    assert lines[0] == "|  | goal | measured | verdict |"
    assert lines[2:] == [
        "| pace | at least 3 × | 4.13 × | met |",
        "| run | at most 15 min | – | not measured |",
    ]
