"""The CPU bench's sums by hand, and its contestants as processes (slow)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench import dpo, newest_trl
from bench.dpo import OTHERS, absent, goals, loss_seconds, report, summarise, whole_steps
from bench.dpo_process import Contestant
from bench.dpo_setting import Setting, Switches
from stemma.errors import StageFailed

TRL = newest_trl.NAME
SECONDS = {
    "stock": [2.0, 3.0, 8.0],
    "chunked": [1.0, 2.0, 2.0],
    TRL: [3.0, 3.0, 3.0],
    "ours": [0.5, 1.5, 2.0],
}
MEMORY = {"stock": 400_000_000, "chunked": 300_000_000, TRL: 320_000_000, "ours": 240_000_000}
EPOCH = {
    "stock": {"seconds": 12.0, "padding": 0.3},
    "chunked": {"seconds": 6.0, "padding": 0.3},
    TRL: {"seconds": 3.6, "padding": 0.3},
    "ours": {"seconds": 2.0, "padding": 0.125, "reference": 3.0},
}
LOSSES = {"stock": 0.5, "chunked": 0.5, TRL: 0.75, "ours": 0.5}
CONTEXT = {
    "command": "c",
    "date": "d",
    "hardware": "h",
    "sizes": "s",
    "load": "0.0",
    "versions": "v",
}
SMALL = replace(Setting(), hidden=32, layers=1, vocabulary=300, rows=8)


def test_paces_are_medians_of_the_rounds_own_and_the_reference_is_shared_out() -> None:
    found = summarise(SECONDS, MEMORY, EPOCH)
    assert found["loss step, pace"] == {"stock": 4.0, "chunked": pytest.approx(4 / 3), TRL: 2.0}
    assert found["extra memory, ours through"] == {"stock": 0.6, "chunked": 0.8, TRL: 0.75}
    assert found["epoch, pace"] == {"stock": 4.0, "chunked": 2.0, TRL: pytest.approx(1.2)}, (
        "3.6 of 2 and a third of 3"
    )


def test_goals_are_against_stock_and_the_best_of_the_others() -> None:
    rows = [goal.row() for goal in goals(summarise(SECONDS, MEMORY, EPOCH))]
    assert [row[1:] for row in rows] == [
        ("at least 3 ×", "4 ×", "met"),
        ("at least 1.3 ×", "1.33 ×", "met"),
        ("at least 3 ×", "4 ×", "met"),
        ("at least 1.3 ×", "1.2 ×", "missed"),
        ("at most 0.55 ×", "0.6 ×", "missed"),
    ]
    assert rows[1][0] == f"loss step: against the best of chunked and {TRL}"


def test_who_is_not_installed_is_named() -> None:
    some = {name: SECONDS[name] for name in ("stock", "ours")}
    found = summarise(some, MEMORY, EPOCH) | {"losses": LOSSES}
    assert [goal.row()[2:] for goal in goals(found)][1] == ("–", "not installed")
    text = report(found, CONTEXT, {TRL: "`python -m bench.newest_trl`"})
    assert (
        f"| {TRL} | not installed: `python -m bench.newest_trl` | – | – | – | – | – | – |" in text
    )


def test_the_table() -> None:
    text = report(summarise(SECONDS, MEMORY, EPOCH) | {"losses": LOSSES}, CONTEXT, {})
    assert "| stock | 3.000 | 400 | 4.00 × | 0.60 × | 12.00 | 4.00 × | 30% |" in text
    assert "| ours | 1.500 | 240 | – | – | 2.00 | – | 12% |" in text
    assert "at most 2.5e-01 from ours. The reference's pass takes ours 3.00 s of CPU, once." in text


def test_the_newest_trl_needs_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dpo.newest_trl, "interpreter", lambda: None)
    assert absent() == {TRL: "`python -m bench.newest_trl`"}


@pytest.mark.slow
def test_contestants_have_one_loss_each_in_its_own_process() -> None:
    names = [*(name for name in OTHERS if name not in absent()), "ours"]
    seconds, losses = loss_seconds(SMALL, names, rounds=1)
    assert {len(found) for found in seconds.values()} == {1}
    assert list(losses.values()) == pytest.approx([losses["ours"]] * len(names), abs=1e-5)
    epoch = whole_steps(SMALL, ["stock", "ours"], rounds=1)
    assert min(found["seconds"] for found in epoch.values()) > 0


@pytest.mark.slow
def test_a_contestant_that_fails_is_named() -> None:
    with (
        Contestant("ours", SMALL, Switches()) as one,
        pytest.raises(StageFailed, match="ours ended with exit code 1"),
    ):
        one.ask("train", 99)
