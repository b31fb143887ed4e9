from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report.run import gather
from report.run_data import RunData
from report.unproven import unproven
from stemma.rows import Score
from tests.factories.run_to_report import make_recipe, make_work

ONE_SEED = "It was trained once, with seed 42"


def found(tmp_path: Path, scores: list[Score]) -> list[str]:
    return unproven(evidence_with(tmp_path, scores))


def evidence_with(tmp_path: Path, scores: list[Score]) -> RunData:
    return replace(gather(make_work(tmp_path, scores=[])), scores=scores)


def change(variant: str, task: str, metric: str, value: float, low: float, high: float) -> Score:
    name = f"{metric}_minus_merged"
    return Score(variant=variant, task=task, metric=name, value=value, low=low, high=high, n=240)


def share(variant: str, task: str, metric: str, value: float) -> Score:
    low, high = value - 0.05, value + 0.05
    return Score(variant=variant, task=task, metric=metric, value=value, low=low, high=high, n=240)


def test_a_gain_whose_interval_spans_zero_is_told(tmp_path: Path) -> None:
    scores = [
        share("base", "mcq", "accuracy", 0.700),
        share("merged", "mcq", "accuracy", 0.713),
        change("base", "mcq", "accuracy", -0.013, -0.05, 0.02),
    ]
    assert found(tmp_path, scores)[0] == (
        "That training changed multiple-choice accuracy: base to merged 0.70 → 0.71, "
        "+0.013 [−0.020 to +0.050], n = 240, across zero."
    )


def test_a_shown_gain_is_not_told_and_a_shown_loss_is(tmp_path: Path) -> None:
    both = [share("base", "mcq", "accuracy", 0.5), share("merged", "mcq", "accuracy", 0.7)]
    gained = [*both, change("base", "mcq", "accuracy", -0.2, -0.25, -0.15)]
    assert len(found(tmp_path / "gained", gained)) == 1
    lost = [*both, change("base", "mcq", "accuracy", 0.2, 0.15, 0.25)]
    assert found(tmp_path / "lost", lost)[0].startswith(
        "Training made multiple-choice accuracy worse than the base model's: "
    )


def test_what_a_later_stage_cost_is_told(tmp_path: Path) -> None:
    scores = [
        share("dpo", "preference", "reward_accuracy", 0.84),
        share("merged", "preference", "reward_accuracy", 0.71),
        change("dpo", "preference", "reward_accuracy", 0.13, 0.09, 0.17),
    ]
    assert found(tmp_path, scores)[0] == (
        "Training mcq behind dpo cost reward accuracy: 0.84 → 0.71, −0.130 [−0.170 to −0.090], "
        "n = 240."
    )


def test_a_stage_that_the_file_did_not_come_of_cost_nothing(tmp_path: Path) -> None:
    scores = [
        share("dpo", "preference", "reward_accuracy", 0.84),
        share("merged", "preference", "reward_accuracy", 0.71),
        change("dpo", "preference", "reward_accuracy", 0.13, 0.09, 0.17),
    ]
    beside = make_recipe(mcq={"start_from": "sft"})
    evidence = replace(gather(make_work(tmp_path / "a", beside, [])), scores=scores)
    assert not any("cost" in line for line in unproven(evidence)), "dpo is a branch of its own"
    export = {"from": "base", "ship": "gguf-F16", "gguf": {"types": ["F16"]}}
    evals = {"variants": ["base", "gguf-F16"], "tasks": [{"task": "mcq"}]}
    untrained = make_recipe(export=export, eval=evals)
    assert unproven(gather(make_work(tmp_path / "b", untrained, scores=[])))


def test_guessing_and_a_liking_for_length_are_told(tmp_path: Path) -> None:
    ship = "gguf-Q4_K_M"
    scores = [
        share(ship, "mcq", "accuracy", 0.28),
        Score(variant="base", task="mcq", metric="chance", value=0.25, n=240),
        share(ship, "preference", "reward_accuracy", 0.55),
        Score(variant=ship, task="preference", metric="longer_accuracy", value=0.53, n=240),
    ]
    said = found(tmp_path, scores)
    assert said[0] == (
        "That it does better than guessing at multiple choice: 0.28 [0.23–0.33], n = 240 where "
        "guessing gives 0.25."
    )
    assert said[1] == (
        "That it prefers better answers and not just longer ones: 0.55 [0.50–0.60], n = 240, "
        "where the longer answer gives 0.53."
    )


def test_a_shipped_file_that_was_not_measured_is_told(tmp_path: Path) -> None:
    evals = {"variants": ["base", "merged"], "tasks": [{"task": "mcq"}]}
    first, _ = unproven(gather(make_work(tmp_path, make_recipe(eval=evals), scores=[])))
    assert first == (
        "How good gguf-Q4_K_M is: it ships and is not among `eval.variants`: not measured."
    )


def test_a_run_without_a_base_and_every_run_has_its_sentence(tmp_path: Path) -> None:
    evals = {"variants": ["merged", "gguf-Q4_K_M"], "tasks": [{"task": "mcq"}]}
    evidence = gather(make_work(tmp_path, make_recipe(eval=evals), scores=[]))
    first, last = unproven(evidence)
    assert first.startswith("That training helped: `base` is not among `eval.variants`")
    assert last.startswith(ONE_SEED)
