"""The room on disk that a run needs at its fullest, by hand, and what `plan` warns of."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from stemma.base_model.files import read_shapes
from stemma.cli import main
from stemma.plan import room
from stemma.plan.costs import export_bytes, left_bytes, stage_bytes
from stemma.plan.forecast import cost_settings
from stemma.recipe.load import load
from stemma.runs import Run

Write = Callable[..., Path]


def test_the_fullest_moment_is_no_sum_of_stages(tmp_path: Path) -> None:
    recipe = load("gemma2b")
    shapes = read_shapes(recipe, Run(tmp_path / "gemma2b"))
    dpo, mcq = (
        cost_settings(recipe, stage, recipe.training_settings(stage), shapes, 1)
        for stage in ("dpo", "mcq")
    )
    exports = sum(export_bytes(shapes, recipe.export.model_dump()).values())
    assert room.most_bytes(recipe, shapes, ["data", "dpo"]) == stage_bytes(dpo, 2)
    assert room.most_bytes(recipe, shapes, ["mcq"]) == stage_bytes(mcq, 2)
    whole = left_bytes(dpo) + left_bytes(mcq) + exports
    assert room.most_bytes(recipe, shapes, ["dpo", "mcq", "export"]) == whole


def test_a_disk_too_small_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, run = load("gemma2b"), Run(tmp_path / "gemma2b")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    told = room.room_warning(recipe, run, ["data", "dpo", "mcq", "export"])
    assert told.endswith(
        f"GB of disk at their fullest, and 1.0 GB are free in {tmp_path}; hint: free some, or pass "
        "--runs FOLDER"
    )
    assert room.room_warning(recipe, run, ["data"]) == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
    assert room.room_warning(recipe, run, ["dpo", "mcq", "export"]) == ""


def test_plan_tells_steps_that_end_within_the_warm_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "warning: mcq: 2,625 steps in all, and `warmup_steps: 2625`: its learning rate is still"
    arguments = ["plan", "gemma2b", "--runs", str(tmp_path), "--set"]
    assert main([*arguments, "mcq.warmup_steps=2625"]) == 0
    assert told in capsys.readouterr().err
    assert main([*arguments, "mcq.warmup_steps=2624"]) == 0
    assert "warning" not in capsys.readouterr().err
