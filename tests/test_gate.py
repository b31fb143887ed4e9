"""stemma.gate: verdicts, and that what was recorded is read back as it was."""

from __future__ import annotations

import json
import math

import pytest

from stemma.errors import GateFailed
from stemma.gate import HandOver, demand, failed, read_gates, recorded

HAND_OVER = HandOver("merged", "merging the adapter")


@pytest.mark.parametrize(
    ("direction", "value", "limit", "passed"),
    [
        ("at_most", 0.2, 0.2, True),
        ("at_most", 0.3, 0.2, False),
        ("at_least", 0.2, 0.2, True),
        ("at_least", 0.1, 0.2, False),
        ("exactly", 4, 4, True),
        ("exactly", 3, 4, False),
        ("exactly", 5, 4, False),
    ],
)
def test_the_direction_decides(direction: str, value: float, limit: float, passed: bool) -> None:
    gate = getattr(HAND_OVER, direction)("figure", value, limit, 9)
    assert (gate.passed, gate.direction) == (passed, direction.replace("_", " "))


@pytest.mark.parametrize("direction", ["at_most", "at_least", "exactly"])
def test_neither_nan_nor_nothing_passes(direction: str) -> None:
    judge = getattr(HAND_OVER, direction)
    assert not judge("figure", math.nan, 1.0, 9).passed
    assert not judge("figure", 1.0, 1.0, 0).passed


def test_a_gate_in_words() -> None:
    assert str(HAND_OVER.exactly("weights", 921_600, 921_600, 2_507_094_016)) == (
        "merged: weights: 921,600 (exactly 921,600, n = 2,507,094,016) passed"
    )
    assert str(HAND_OVER.not_made("rows", "exactly", "packed")) == "merged: rows: packed"


def test_demand_tells_every_figure_and_the_hint() -> None:
    good = HAND_OVER.at_most("KL", 1e-5, 1e-3, 9)
    bad = HAND_OVER.at_least("top-1", 0.5, 0.98, 9)
    demand([good, HAND_OVER.not_made("rows", "exactly", "packed")], "never said")
    with pytest.raises(GateFailed) as error:
        demand([good, bad], "merging broke it", "hint: try again")
    assert str(error.value) == (
        "merging broke it\n"
        "  merged: KL: 1e-05 (at most 0.001, n = 9) passed\n"
        "  merged: top-1: 0.5 (at least 0.98, n = 9) FAILED\n"
        "hint: try again"
    )
    assert failed([good, bad]) == [bad]
    with pytest.raises(GateFailed, match="nothing was checked"):
        demand([], "nothing was checked")


def test_what_was_recorded_is_read_back() -> None:
    gates = [
        HAND_OVER.at_most("KL", 1e-5, 1e-3, 9),
        HAND_OVER.not_made("rows", "exactly", "packed"),
    ]
    assert read_gates(json.loads(json.dumps(recorded(gates)))) == gates


@pytest.mark.parametrize("record", [None, ["merged: KL: 0.1 passed"], [{"gate": "KL", "limit": 1}]])
def test_an_earlier_form_is_told_from_gates(record: object) -> None:
    assert read_gates(record) is None
