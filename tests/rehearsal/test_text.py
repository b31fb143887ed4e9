"""The rehearsal's table: measured beside forecast, and scaled by hand to the full run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stemma.plan.forecast import Hardware, Plan, plan
from stemma.recipe.load import load
from stemma.rehearsal.text import Line, Measured, lines, written
from stemma.runs import Run

SFT = Measured(seconds=100, memory=3 * 10**9, process=2 * 10**9, disk=10**9, stepping=40)


@pytest.fixture
def plans(tmp_path: Path) -> tuple[Plan, Plan]:
    """A model of 2 of 18 layers that trains a thousandth, and the whole."""
    full = plan(load("gemma2b-sft-dpo"), Run(tmp_path), Hardware(cpu=True))
    small = [
        replace(stage, flops=stage.flops / 1000, disk=stage.disk // 4)
        for stage in full.stages
        if stage.flops is not None
    ]
    exports = {name: size // 2 for name, size in full.exports.items()}
    peaks = {stage: dict.fromkeys(parts, 10**9) for stage, parts in full.peaks.items()}
    small = [replace(stage, process=stage.process - 7 * 10**9) for stage in small]
    return replace(
        full, stages=small, exports=exports, peaks=peaks, shapes=replace(full.shapes, layers=2)
    ), full


def test_steps_scale_by_flops_and_the_rest_by_weights(plans: tuple[Plan, Plan]) -> None:
    here, full = plans
    [line] = lines({"sft": SFT}, here, full)
    growth = 2_506_172_416 / 744_499_200
    assert line.full_seconds == pytest.approx(40 * 1000 + 60 * growth)
    assert line.full_memory == 3 * 10**9 + 7 * 10**9, "what `plan` says more"
    assert line.full_disk == pytest.approx(4 * 10**9, rel=1e-6)
    assert (line.planned_memory, line.planned_disk) == (here.peak("sft"), here.stages[0].disk)


@pytest.mark.usefixtures("torch_for_cpus")
def test_export_grows_with_the_weights(plans: tuple[Plan, Plan]) -> None:
    here, full = plans
    [line] = lines({"export": Measured(60, 5 * 10**9, 4 * 10**9, 2 * 10**9)}, here, full)
    assert line.full_seconds == pytest.approx(60 * 2_506_172_416 / 744_499_200)
    assert line.planned_memory == 10**9 + (640 << 20), "the engines, and what the parts need"
    assert line.full_memory == 5 * 10**9 + max(full.peaks["export"].values()) - 10**9
    # Beside the formats lies the float16 file they are quantised from.
    planned = [sum(here.exports.values()) + here.source, sum(full.exports.values()) + full.source]
    assert line.planned_disk == planned[0]
    assert line.full_disk == pytest.approx(2 * 10**9 * planned[1] / planned[0], rel=1e-6)


def test_what_is_not_known_is_a_dash(plans: tuple[Plan, Plan]) -> None:
    found = lines(
        {"data": Measured(3, 10**9, 9 * 10**8, 10**6), "sft": replace(SFT, stepping=0.0)}, *plans
    )
    assert found[0] == Line("data", Measured(3, 10**9, 9 * 10**8, 10**6))
    assert found[1].full_seconds is None, "the trainer's clock was not found"
    text = written("a title", found, {"not as in it": ["sft: 3 steps"], "not here": []}, plans[0])
    rows = text.splitlines()
    assert rows[3].split() == ["data", "3", "1.00", "0.90", "–", "0.00", "–", "–", "–", "–"]
    assert "in all 103 s, 3.00 GB of memory at the fullest moment; sizes in GB" in rows
    assert rows[-2:] == ["not as in it:", "- sft: 3 steps"]


def test_a_resumed_stage_is_named(plans: tuple[Plan, Plan]) -> None:
    text = written("t", lines({"sft": replace(SFT, resumed=True)}, *plans), {}, plans[0])
    assert "resumed: sft; seconds and memory are of the last attempt" in text
