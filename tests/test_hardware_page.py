"""docs/hardware.md: the memory it forecasts is what `plan` computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.plan.forecast import Hardware, Plan, plan
from stemma.plan.peaks import PROCESS
from stemma.recipe.load import load
from stemma.runs import Run

PAGE = (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `([\w.-]+)`(?:, (\w+))? \| [^|]+ \| ([\d.]+) \| ([\d.]+) \|", re.MULTILINE)
BY_ONE = re.findall(r"`SET=\"(dpo\.micro_batch_size=1 [^\"]+)\"`", PAGE)


def planned(name: str, folder: Path, overrides: tuple[str, ...] = ()) -> Plan:
    recipe = load(ROOT / "recipes" / f"{name}.yml", overrides)
    return plan(recipe, Run(folder), Hardware())


def fullest(found: Plan, stage: str) -> tuple[float, float]:
    """GB a GPU and GB of a process without one, of a stage or of the fullest."""
    stages = [one for one in found.stages if stage.lower() in ("", one.stage)]
    gpu = max(one.memory.total for one in stages) + PROCESS["engines"]
    return round(gpu / 1e9, 1), round(max(one.process for one in stages) / 1e9, 1)


def test_the_page_forecasts_several_recipes() -> None:
    assert len(ROW.findall(PAGE)) >= 5


@pytest.mark.parametrize("row", ROW.findall(PAGE), ids=lambda row: "-".join(row[:2]))
def test_a_forecast_is_the_plans(row: tuple[str, str, str, str], tmp_path: Path) -> None:
    name, stage, gpu, cpu = row
    assert fullest(planned(name, tmp_path), stage) == (float(gpu), float(cpu))


def test_one_row_at_a_time_is_the_plans(tmp_path: Path) -> None:
    for further in ((), ("train.gradient_checkpointing=true",)):
        found = planned("gemma2b", tmp_path, (*BY_ONE[0].split(), *further))
        (dpo, dpo_cpu), (mcq, mcq_cpu) = fullest(found, "dpo"), fullest(found, "mcq")
        assert f"| {dpo} (DPO), {mcq} (MCQ) | {dpo_cpu}, {mcq_cpu} |" in PAGE
