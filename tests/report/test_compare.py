"""Two recipes' curves on one page: which lines, the table of last values, and what is missing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from report.compare import compare, comparisons, rows_apart
from stemma.errors import UserError
from stemma.runs import Run
from tests.factories.run_to_report import make_recipe, make_work

STEPS = [
    {"step": 1, "loss": 0.7, "rewards/margins": 0.0},
    {"step": 2, "loss": 0.5, "rewards/margins": 0.3},
]
HELD_OUT = {"step": 2, "eval_loss": 0.6, "eval_rewards/accuracies": 0.75}


def test_a_measure_is_one_panel_with_a_line_for_each_recipe() -> None:
    histories = {"one": [*STEPS, HELD_OUT], "the.other": STEPS}
    margin, loss = comparisons(histories, "")
    assert (margin.measure, loss.measure) == ("Reward margin", "Loss")
    assert loss.lines == {"one": [(1, 0.7), (2, 0.5)], "the.other": [(1, 0.7), (2, 0.5)]}
    assert 'class="line train"' in loss.svg
    assert 'class="line eval"' in loss.svg
    assert "the.other, step 2: 0.500" in loss.svg
    accuracy, _ = comparisons(histories, "eval_")
    assert accuracy.lines == {"one": [(2, 0.75)]}


def test_values_that_are_not_finite_are_counted() -> None:
    [loss] = comparisons(
        {"one": [{"step": 1, "loss": float("nan")}, {"step": 2, "loss": 0.5}], "two": []}, ""
    )
    assert (loss.lines, loss.not_finite) == ({"one": [(2, 0.5)]}, 1)


def test_the_page_and_the_table(tmp_path: Path) -> None:
    one = make_work(tmp_path)
    direct = {"name": "toy-direct", "sft": None, "dpo": {"start_from": "base", "rl": "dpo"}}
    other = make_work(tmp_path, make_recipe(**direct, **_without_sft()))
    page = compare((one.recipe, one.run), (other.recipe, other.run))
    assert page == tmp_path / "compare-toy-toy-direct" / "index.html"
    html, table = page.read_text(), page.with_name("compare.md").read_text().splitlines()
    assert html.count("<svg") == 6
    assert "Figure 1: while training" in html
    assert "src=" not in html, "one file, nothing to fetch"
    assert table[0] == "# toy and toy-direct: preference training"
    assert "- toy-direct starts from `base`, its reference." in table
    assert "| Figure 2: on held-out pairs | Reward accuracy | 0.920 at 90 | 0.920 at 90 |" in table
    assert len([line for line in table if line.startswith("| Figure ")]) == 1 + 6


def test_runs_that_were_scored_on_other_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_work(tmp_path)
    other = make_work(tmp_path, make_recipe(name="toy-other"))
    held = {"toy": "a" * 64, "toy-other": "a" * 64}

    def manifest(run: Run, stage: str) -> SimpleNamespace:
        return SimpleNamespace(inputs={"data/dpo/validation": held[run.root.name]})

    monkeypatch.setattr(Run, "manifest", manifest)
    assert rows_apart(one.run, other.run) == ""
    held["toy-other"] = "b" * 64
    assert rows_apart(one.run, other.run) == (
        "toy and toy-other were scored on different held-out pairs, so their curves of Figure 2 "
        "show the pairs as much as the models"
    )


def test_what_is_missing_is_told_with_the_command(tmp_path: Path) -> None:
    recipe = make_recipe()
    lone = make_recipe(name="lone", dpo=None, mcq={"start_from": "sft"}, **_without_dpo())
    with pytest.raises(UserError) as caught:
        compare((recipe, Run(tmp_path / "toy")), (lone, Run(tmp_path / "lone")))
    first, second = caught.value.problems
    assert first.found == "stage `dpo` of recipe `toy` is not done"
    assert first.hint.startswith("run `make dpo RECIPE=toy`")
    assert second.found == "recipe `lone` has no stage `dpo`"
    with pytest.raises(UserError, match="--with toy: the same recipe twice"):
        compare((recipe, Run(tmp_path)), (recipe, Run(tmp_path)))


def _without_sft() -> dict[str, object]:
    recipe = make_recipe()
    variants = [name for name in recipe.eval.variants if name != "sft"]
    return {"eval": {"variants": variants, "tasks": [{"task": "mcq"}], "reference": "base"}}


def _without_dpo() -> dict[str, object]:
    return {"eval": {"variants": ["base", "merged"], "tasks": [{"task": "mcq"}]}}
