from __future__ import annotations

from pathlib import Path

from report import curves
from report.run import gather
from tests.factories.run_to_report import history, make_work


def test_a_preference_stage_has_the_figures_of_the_reference_report() -> None:
    found = curves.stage_panels("dpo", history(preference=True))
    titles = ["Loss", "Reward accuracy", "Reward margin", "Chosen reward", "Rejected reward"]
    assert [panel.measure for panel in found] == titles
    assert [len(found[1].lines[name]) for name in ("train", "eval")] == [90, 3]
    assert found[1].lines["eval"][-1] == (90, 0.92)


def test_a_stage_without_rewards_has_its_loss_only() -> None:
    assert [panel.title for panel in curves.stage_panels("sft", history(preference=False))] == [
        "sft · Loss"
    ]


def test_what_cannot_be_drawn_is_counted() -> None:
    log = [
        {"loss": 1.5, "step": 1},
        {"eval_loss": 1.2, "step": 1},
        {"loss": float("nan"), "step": 2},
    ]
    (panel,) = curves.stage_panels("sft", log)
    assert panel.lines == {"train": [(1.0, 1.5)], "eval": [(1.0, 1.2)]}
    assert panel.not_finite == 1


def test_no_log_gives_no_panel() -> None:
    assert curves.stage_panels("sft", []) == []


def test_where_the_curves_end(tmp_path: Path) -> None:
    rows = curves.ends(gather(make_work(tmp_path))).rows
    assert [row[0] for row in rows] == ["base", "sft", *(5 * ["dpo"]), "mcq"]
    assert rows[3][:3] == ["dpo", "Reward accuracy", 90]
    assert rows[3][4] == 0.92
