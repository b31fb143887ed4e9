"""Stages run in order: what stops them before anything trains, and what is said once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from stemma.errors import UserError
from stemma.recipe.models import Recipe
from stemma.run_stages import Options, run_stages
from stemma.runs import Run
from stemma.stages import MODULES, Result, Work


def test_nothing_trains_where_the_evaluation_would_have_no_row(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def stage(work: Work) -> Result:
        ran.append(work.stage)
        (work.folder / "out.txt").write_text("")
        return Result({"text": "out.txt"}, counts={"sets": {"dpo": {"train": 9, "test": 0}}})

    for name in MODULES:
        monkeypatch.setitem(MODULES, name, lambda: SimpleNamespace(run=stage))
    run = Run(tmp_path / "runs" / "small")
    for stages in (["data", "base"], ["base"]):
        with pytest.raises(UserError, match=r"data\.dpo: task `preference` has no row: none of "):
            run_stages(recipe, run, stages, Options(print))
    assert ran == ["data"], "its rows stay, and nothing has trained"
    assert run.read_manifest("data") is not None


def test_a_warning_that_several_stages_see_is_said_once() -> None:
    said: list[str] = []
    options = Options(said.append)
    for stage in ("data", "sft"):
        for text in ("warning: sft: 3 steps", "loss 2"):
            options.about(stage)(text)
    assert said == ["[data] warning: sft: 3 steps", "[data] loss 2", "[sft] loss 2"]
