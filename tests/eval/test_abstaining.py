"""Abstention of every variant: curves of the test rows, thresholds of the validation rows."""

from __future__ import annotations

from math import exp, log
from pathlib import Path
from typing import Any

import pytest

from eval.abstaining import _tried, abstention
from eval.abstention import Answers
from eval.run import run
from eval.statistics import wilson
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.rows import Score
from stemma.runs import Run
from stemma.stages import Work
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe, make_work


def rows(*chances: float) -> list[dict[str, object]]:
    """Two letters each, A with this chance; B is right."""
    return [
        {"id": f"{i}", "answer": "B", "log_probs": {"A": log(one), "B": log(1 - one)}}
        for i, one in enumerate(chances)
    ]


def test_every_variant_has_its_curve_and_its_change_from_merged(tmp_path: Path) -> None:
    recipe = make_recipe(["merged", "gguf-F16"], [{"task": "mcq"}])
    work = Work(recipe, Run(tmp_path), "eval", say=lambda _: None)
    # Merged is wrong where it is least sure, the file where it is surest.
    measured = {"merged": {"mcq": rows(0.6, 0.2, 0.1)}, "gguf-F16": {"mcq": rows(0.95, 0.2, 0.1)}}
    found = abstention(work, measured)
    value = {(one.variant, one.metric): one.value for one in found.scores}
    assert value["merged", "risk_area"] == pytest.approx((0 + 0 + 1 / 3) / 3)
    assert value["gguf-F16", "risk_area"] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert value["gguf-F16", "risk_area_minus_merged"] == pytest.approx(0.5)
    assert ("merged", "risk_area_minus_merged") not in value
    assert found.facts == {}
    assert [point for point in found.samples["abstention"] if point["variant"] == "merged"] == [
        {"variant": "merged", "coverage": pytest.approx(i / 3), "risk": pytest.approx(risk)}
        for i, risk in ((1, 0), (2, 0), (3, 1 / 3))
    ]


def test_without_multiple_choice_there_is_nothing(tmp_path: Path) -> None:
    work = Work(make_recipe(["merged"], [{"task": "speed"}]), Run(tmp_path), "eval", lambda _: None)
    assert abstention(work, {"merged": {"speed": []}}).scores == []


def test_a_threshold_tried_by_hand() -> None:
    found = Answers([0.9, 0.8, 0.7, 0.6], [False, True, False, True])
    answered, risk = _tried(found, 0.7, "threshold")
    assert (answered.name, answered.value, answered.n) == ("answered_at_threshold", 0.75, 4)
    assert (risk.name, risk.value, risk.n) == ("risk_at_threshold", pytest.approx(1 / 3), 3)
    assert (risk.low, risk.high) == wilson(1 / 3, 3)
    [none] = _tried(found, 0.95, "threshold")
    assert (none.name, none.value) == ("answered_at_threshold", 0.0)
    assert list(_tried(found, None, "threshold")) == []


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"generate": True, "max_new_tokens": 2, "permute": 1}])
def test_thresholds_are_fitted_on_validation_rows(tmp_path: Path, more: dict[str, Any]) -> None:
    recipe = make_recipe(["gguf-F16"], [{"task": "mcq"} | more], abstention={"risk": 0.9})
    work = make_work(tmp_path, recipe)
    folder = work.run.folder("data")
    asked = read_dicts(folder / "mcq" / "test.jsonl")
    others = [
        row | {"id": f"v{i}", "question": f"What is 10 + {i}?"} for i, row in enumerate(asked)
    ]
    write_jsonl(folder / "mcq" / "validation.jsonl", others)
    names = ("mcq/validation", "sft/test", "dpo/test", "mcq/test")
    write_manifest(work.run, "data", {name: f"{name}.jsonl" for name in names})
    result = run(work)
    found = [Score.model_validate(one) for one in read_json(work.folder / "results.json")]
    value = {one.metric: one for one in found}
    fitted = result.facts["abstention"]["thresholds"]["gguf-F16"]
    sure = [
        max(shares) / sum(shares)
        for row in read_dicts(work.folder / "samples/gguf-F16/mcq.jsonl")
        for shares in [[exp(one) for one in row["log_probs"].values()]]
    ]
    share = sum(one >= fitted for one in sure) / 6
    assert value["answered_at_threshold"].value == pytest.approx(share)
    cells = [
        [row for path in cell.glob("*.jsonl") for row in read_dicts(path)]
        for cell in (tmp_path / "measured").glob("mcq-*")
    ]
    assert sum(map(len, cells)) == 12
    # Replies and other orders are the test rows' alone: nothing reads those of validation rows.
    replies = [row["sample"]["reply"] for kept in cells for row in kept]
    assert sum(reply is not None for reply in replies) == (6 if more else 0)
