"""The whole GPU bench in one command of under 8 minutes.

Run `python -m bench.gpu` on a machine with one H100 or H200.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from bench import newest_trl
from stemma import ROOT

PEAKS = {"square", "q_proj", "gate_proj", "down_proj", "head"}
CONTESTANTS = {"stock", "chunked", "trl", "ours", "ours, prompts shared"}
NEWEST = {newest_trl.NAME} if newest_trl.interpreter() else set()

pytestmark = pytest.mark.slow


def numbers(found: Any) -> Iterator[float]:
    if isinstance(found, dict | list):
        for value in found.values() if isinstance(found, dict) else found:
            yield from numbers(value)
    elif isinstance(found, int | float):
        yield found


@pytest.fixture(scope="module")
def output() -> str:
    command = [sys.executable, "-m", "bench.gpu", "--device", "cpu", "--small"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def found(output: str) -> dict[str, Any]:
    result: dict[str, Any] = json.JSONDecoder().raw_decode(output)[0]
    return result


def test_every_part_has_finite_figures(found: dict[str, Any]) -> None:
    everyone = CONTESTANTS | NEWEST
    assert (set(found["peak"]), set(found["dpo"]), set(found["sft"])) == (
        PEAKS,
        everyone,
        {"stock", "fast"},
    )
    assert set(found["absent"]["dpo"]) == {newest_trl.NAME} - NEWEST
    assert found["cut"] == []
    assert all(map(math.isfinite, numbers(found)))
    assert min(f["pairs_per_second_in_all"] for f in found["dpo"].values()) > 0
    assert {f["turns"] for f in found["dpo"].values()} == {2}
    assert min(f["tokens_per_second"] for f in found["sft"].values()) > 0
    assert min(found["reports_run"]["minutes"].values()) > 0


def test_all_trainers_have_one_loss(found: dict[str, Any]) -> None:
    apart = {name: figures["loss_apart"] for name, figures in found["dpo"].items()}
    assert {name: value for name, value in apart.items() if value > 1e-5} == {}
    assert found["dpo"]["trl"]["loss"] != pytest.approx(math.log(2), abs=1e-6), (
        "the adapter is not at its start"
    )


def test_who_makes_all_logits(found: dict[str, Any]) -> None:
    logits = {name: figures["logits"] for name, figures in found["dpo"].items()}
    whole = {"stock", "trl"}
    assert {name for name, dtype in logits.items() if dtype == "float32"} == whole
    assert {dtype for name, dtype in logits.items() if name not in whole} == {"no whole tensor"}


def test_packing_leaves_less_padding(found: dict[str, Any]) -> None:
    assert found["sft"]["fast"]["padding"] < found["sft"]["stock"]["padding"] / 2
    assert found["sft"]["fast"]["trainable"] == 8 * (64 + 64 + 64 + 16), (
        "r = 8 on q_proj and v_proj of one layer"
    )


def test_goals_are_named_and_not_claimed(found: dict[str, Any], output: str) -> None:
    assert [row[3] for row in found["goals"]] == ["not measured on a CPU"] * 5
    assert (
        "| DPO, pairs/s against stock Axolotl | at least 3 × | – | not measured on a CPU |"
        in output
    )
