"""The judges in a plan: what they would be asked, and what that costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.judge.run import judge_variants
from stemma.cli import main
from stemma.plan.judging import judging_lines, plan_judging
from tests.eval.judge.judges import (
    judging_server,
    longer,
    make_work,
    numbered,
    paid,
    samples,
)

SCRIPTED = {"server": "scripted-expert", "model": "scripted-expert"}


def test_the_scripted_expert_costs_nothing(tmp_path: Path) -> None:
    work = make_work(tmp_path, numbered(3), SCRIPTED)
    [found] = plan_judging(work.recipe, work.run)
    assert found.dollars == 0
    assert found.title == "judge dpo against base by a script"


def test_requests_and_dollars_at_most_are_those_of_the_longest_replies(tmp_path: Path) -> None:
    """No question is known yet: the data is not built."""
    generator = paid("http://127.0.0.1:1/v1", max_tokens=100)
    work = make_work(tmp_path, {}, generator, questions=10)
    (work.run.folder("data") / "manifest.json").unlink()
    [found] = plan_judging(work.recipe, work.run)
    assert found.requests == 20
    assert "20 requests at most" in found.basis
    assert "2,000 out at most" in found.basis
    assert found.dollars is not None
    # Three attempts, every byte a token: more than 20 x 100 x 3 replies' tokens at 10 a million.
    assert 0.06 < found.dollars < 2
    capped = make_work(tmp_path, {}, generator | {"max_cost_usd": 0.05}, questions=10)
    (capped.run.folder("data") / "manifest.json").unlink()
    [least] = plan_judging(capped.recipe, capped.run)
    assert least.dollars == 0.05
    assert "at most 0.05 dollars (max_cost_usd)" in least.basis
    unpriced = make_work(tmp_path, {}, generator | {"prices": None}, questions=10)
    [unknown] = plan_judging(unpriced.recipe, unpriced.run)
    assert unknown.dollars is None
    assert "no price table (`eval.judge.generator.prices`)" in unknown.basis


def test_the_forecast_is_an_upper_bound_of_what_is_then_paid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = numbered(20)
    with judging_server(longer, monkeypatch) as server:
        work = make_work(tmp_path, replies, paid(server.base_url), questions=20)
        (work.run.folder("data") / "manifest.json").unlink()
        [expected] = plan_judging(work.recipe, work.run)
        again = make_work(tmp_path, replies, paid(server.base_url), questions=20)
        found = judge_variants(again, samples(replies))
    spent = found.facts["dpo judge-base"]["requests"]
    assert expected.requests == spent["sent"] == 40
    assert expected.dollars is not None
    assert 0 < spent["cost_usd"] < expected.dollars


def test_plan_and_dry_run_print_a_line_a_judge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = "eval.judge.0.generator={server: openai, model: m, prices: {input: 1, output: 2}}"
    runs = ["--runs", str(tmp_path), "--set", judge]
    main(["plan", "tiny", *runs])
    printed = capsys.readouterr().out
    assert "API: judge dpo against base by m: 200 requests at most" in printed
    [whole] = [line for line in printed.splitlines() if line.startswith("in all: ")]
    assert "dollars" in whole
    assert "0 dollars" not in whole
    main(["eval", "tiny", "--dry-run", *runs])
    assert "judge dpo against base by m: 200 requests at most" in capsys.readouterr().out


def test_a_recipe_without_judges_has_no_line(tmp_path: Path) -> None:
    work = make_work(tmp_path, {}, SCRIPTED)
    section = work.recipe.eval.model_copy(update={"judge": []})
    bare: Any = work.recipe.model_copy(update={"evaluated_by": section})
    assert judging_lines(bare, work.run) == []
