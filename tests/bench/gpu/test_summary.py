"""The GPU bench's arithmetic, by hand, on figures as its parts print them."""

from __future__ import annotations

from typing import Any

import pytest

from bench.gpu.summary import best_turns, floor_minutes, goals, report, reports_minutes, summarise

CONTEXT = {
    "command": "c",
    "date": "d",
    "hardware": "h",
    "sizes": "s",
    "load": "0.0",
    "versions": "v",
}


def turn(name: str, pace: float, building: float = 10.0, **changes: Any) -> dict[str, Any]:
    found = {
        "part": "dpo",
        "name": name,
        "pairs": 120,
        "pairs_per_second": pace,
        "building_seconds": building,
        "tokens_a_side": 350,
        "loss": 0.5,
        "peak_gb": 40.0,
        "beyond_weights_gb": 35.0,
        "padding": 0.3,
        "logits": "bfloat16",
        "gc_seconds_a_step": 0.2,
    }
    return found | ({"how": "its own trainer"} if name.startswith("ours") else {}) | changes


SAID = [
    {"part": "peak", "name": "square", "shape": [8192] * 3, "dtype": "bfloat16", "tflops": 790.0},
    turn("stock", 5),
    turn("stock", 6),
    turn("trl", 15),
    turn("trl", 20, building=8.0),
    turn("ours", 60, building=11.0, peak_gb=20.0, loss=0.5000001),
    turn("ours", 50, building=14.0),
    {
        "part": "sft",
        "name": "fast",
        "tokens_per_second": 3e4,
        "tflops": 395.0,
        "peak_gb": 50.0,
        "padding": 0.03,
        "loss": 12.0,
    },
]


def test_the_faster_turn_counts_and_the_reference_pass_is_shared_by_three_epochs() -> None:
    best = best_turns([figures for figures in SAID if figures["part"] == "dpo"])
    assert (best["stock"]["pairs_per_second"], best["stock"]["turns"]) == (6, 2)
    assert best["ours"]["reference_seconds"] == 3, "its quickest making, 11 s, less TRL's, 8 s"
    assert best["ours"]["pairs_per_second_in_all"] == 120 / (120 / 60 + 3 / 3) == 40
    assert best["trl"]["pairs_per_second_in_all"] == 20
    assert best["ours"]["loss_apart"] == pytest.approx(1e-7)


def test_the_reports_run_by_hand() -> None:
    figures = {"pairs_per_second_in_all": 40, "tokens_a_side": 350}
    assert reports_minutes(figures) == 10_400 * 3 / 40 / 60 == 13
    assert reports_minutes(figures | {"tokens_a_side": 175}) == 26, (
        "shorter pairs are quicker, the report's are not"
    )


def test_the_floor_is_of_the_heads_answers() -> None:
    assert floor_minutes(790) == pytest.approx(297 / 60, abs=0.01)


def test_goals_are_evaluated() -> None:
    found = summarise(SAID, CONTEXT, [], on_gpu=True)
    assert [row[2:] for row in found["goals"]] == [
        ("6.67 ×", "met"),
        ("2 ×", "met"),
        ("0.5 ×", "met"),
        ("50 %", "met"),
        ("13 min", "met"),
    ]
    slow = summarise([turn("ours", 5), *SAID[1:5]], CONTEXT, [], on_gpu=True)
    assert [row[3] for row in slow["goals"]] == [
        "missed",
        "missed",
        "missed",
        "cut short",
        "missed",
    ]


def test_a_cpu_meets_and_misses_nothing() -> None:
    assert {goal.verdict for goal in goals(summarise(SAID, CONTEXT, [], False), False)} == {
        "not measured on a CPU"
    }


def test_what_was_cut_is_said_and_the_rest_is_told() -> None:
    found = summarise(SAID[:5], CONTEXT, ["dpo (cut after 320 s)"], on_gpu=True)
    text = report(found, on_gpu=True)
    assert "Cut short: dpo (cut after 320 s)." in text
    assert "**SFT**: no figures." in text
    assert "| DPO, pairs/s against TRL | at least 1.5 × | – | cut short |" in text
    assert "| stock | 6.00 | 6.00 | 40.0 | 35.0 | 0.0e+00 | 30% | bfloat16 | 0.200 |" in text


def test_nothing_said_is_no_error() -> None:
    found = summarise([], CONTEXT, ["peak (ended with exit code 1)"], on_gpu=True)
    assert found["reports_run"]["floor_minutes"] is None
    assert "floor at the measured peak – min" in report(found, on_gpu=True)


ABSENT = [
    *(
        {"part": "absent", "of": "dpo", "name": name, "modules": ["trl", "datasets"]}
        for name in ("stock", "trl")
    ),
    {"part": "absent", "of": "sft", "name": "fast", "modules": ["axolotl"]},
]


def test_what_is_not_installed_is_named_and_a_plain_loop_stands_in() -> None:
    plain = turn("plain", 10, peak_gb=80.0, loss=0.25)
    sft = {**SAID[-1], "name": "plain, own head", "tflops": 316.0}
    found = summarise(
        [SAID[0], *ABSENT, plain, turn("ours", 40, building=16.0), sft], CONTEXT, [], on_gpu=True
    )
    assert [row[0] for row in found["goals"]][
        3
    ] == "SFT, share of the matmul peak (plain, own head)"
    assert [row[2:] for row in found["goals"]] == [
        ("–", "stock is not installed"),
        ("–", "trl is not installed"),
        ("–", "trl is not installed"),
        ("40 %", "missed"),
        ("21.7 min", "missed"),
    ]
    assert found["dpo"]["ours"]["reference_seconds"] == 6, (
        "making ours, 16 s, less making the plain loop, 10 s"
    )
    assert found["dpo"]["ours"]["loss_apart"] == 0.25
    text = report(found, on_gpu=True)
    assert "| trl | not installed: trl, datasets | – | – | – | – | – | – | – |" in text
    assert "| fast | not installed: axolotl | – | – | – | – | – |" in text
    assert "`ours` is its own trainer. Against `plain`" in text
    assert (
        "pace 2.40 ×, peak memory 0.50 ×." in text
    )  # 120 pairs in 3 s and a third of 6 s: 24 a second
