from __future__ import annotations

from report import curves
from tests.report.run_folder import history


def test_a_preference_stage_has_the_figures_of_the_reference_report() -> None:
    found = curves.read("dpo", history(preference=True))
    titles = ["Loss", "Reward accuracy", "Reward margin", "Chosen and rejected reward"]
    assert [panel.title for panel in found.panels] == titles
    assert found.steps == 90
    assert found.panels[1].legend[1] == ("two", "eval 0.920")
    assert found.panels[1].smoothed


def test_a_stage_without_rewards_has_its_loss_only() -> None:
    assert [panel.title for panel in curves.panels("sft", history(preference=False))] == ["Loss"]


def test_points_skip_records_without_the_key_and_what_cannot_be_drawn() -> None:
    log = [{"loss": 1.5, "step": 1}, {"eval_loss": 1.2, "step": 1}, {"loss": float("nan"), "step": 2}]
    assert curves.points(log, "loss") == [(1.0, 1.5)]
    assert curves.read("sft", log).not_finite == 1


def test_no_log_gives_no_panel() -> None:
    assert curves.read("sft", []) == curves.Curves("sft", 0, [], 0)


def test_stages_with_one_panel_stand_side_by_side() -> None:
    stages = [curves.read(name, history(preference=name == "dpo", steps=30)) for name in ("sft", "dpo", "mcq")]
    groups = curves.grouped(stages)
    assert list(groups) == [curves.LOSSES, "dpo · 30 steps"]
    assert [title for title, _ in groups[curves.LOSSES]] == ["sft · Loss", "mcq · Loss"]
