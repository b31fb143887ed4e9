"""The search: combinations, ranking, what is trained again, and two real trials (slow)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stemma.cli import main
from stemma.digests import digest_json
from stemma.errors import Problem, UserError
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.keys import key_of
from stemma.recipe.load import load
from stemma.runs import Run
from stemma.training.sweep import permutations, search
from stemma.training.sweep_results import Results, Trial, ranked, read_results, written
from tests.conftest import Write
from tests.factories.recipes import LORA

BEFORE = "train:\n  adapter: lora\n  lora_r: 8\n"
SWEEP = "sweep: {stage: sft, values: {learning_rate: [1e-2, 1e-5, 1e30]}}\nexport:\n"


def test_combinations_are_axolotls() -> None:
    found = permutations({"learning_rate": [1e-4, 5e-4], "rl_beta": [0.1, 0.3]})
    assert sorted(tuple(values.values()) for values in found) == [
        (1e-4, 0.1),
        (1e-4, 0.3),
        (5e-4, 0.1),
        (5e-4, 0.3),
    ]
    together = permutations(
        {"_": [{"lora_r": 8, "lora_alpha": 16}, {"lora_r": 16, "lora_alpha": 32}]}
    )
    assert sorted(values["lora_alpha"] for values in together) == [16, 32]
    assert permutations({"lora_r": [4, 8, 16, 32]}) == permutations({"lora_r": [4, 8, 16, 32]})


def test_the_best_is_first_and_failures_are_last() -> None:
    trials = [
        Trial("a", {"r": 4}, failed="NaN"),
        Trial("b", {"r": 8}, 0.5, 10),
        Trial("c", {"x": [1]}, 0.7, 10),
    ]
    assert [t.name for t in ranked(trials, "min")] == ["b", "c", "a"]
    results = Results("dpo", "eval_rewards/accuracies", "max", ranked(trials, "max"))
    assert results.take() == "--set 'dpo.x=[1]'"
    assert written(results).splitlines() == [
        "trial  x    r  eval_rewards/accuracies  step",
        "c      [1]  –                      0.7    10  best",
        "b      –    8                      0.5    10",
        "a      –    4                        –     –  NaN",
        "take the best: --set 'dpo.x=[1]'",
    ]


def test_a_sweep_is_checked_with_the_recipe(write_recipe: Write) -> None:
    wrong = "lerning_rate: [1], rl_beta: [0.1, strong], output_dir: [x]"
    values = f"sweep: {{stage: dpo, values: {{{wrong}}}}}\nexport:\n"
    with pytest.raises(UserError) as caught:
        load(write_recipe(("export:\n", values)))
    told = [str(problem).split(": ", 1)[1] for problem in caught.value.problems]
    assert told[0].startswith("unknown key `lerning_rate` in dpo")
    assert told[0].endswith("did you mean `learning_rate`?")
    assert told[1] == "`dpo.rl_beta` is 'strong'\n  expected: number"
    assert told[2].startswith("`output_dir` in dpo is Stemma's to set")
    absent = (
        values[: values.index("dpo")] + "mcq, values: {rl_beta: [0.1]}, metric: loss}\nexport:\n"
    )
    with pytest.raises(UserError, match=r"sweep.metric` is 'loss'"):
        load(write_recipe(("export:\n", absent)))
    with pytest.raises(
        UserError, match=r"`sweep.stage: mcq`\n  expected: a training stage of this recipe"
    ):
        load(write_recipe(("export:\n", absent.replace("loss", "eval_loss"))))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("_: [5]", "`_` holds 5; it lists mappings"),
        ("_: [ab]", "`_` holds 'ab'; it lists mappings"),
        ("_: [[a]]", "`_` holds ['a']; it lists mappings"),
        ("_: [{}]", "`_` holds {}; it lists mappings"),
        ("lora_r: [4], _: [{lora_r: 8}]", "`lora_r` stands under `_` too"),
    ],
)
def test_what_belongs_together_is_a_mapping(write_recipe: Write, values: str, told: str) -> None:
    sweep = f"sweep: {{stage: dpo, values: {{{values}}}}}\nexport:\n"
    with pytest.raises(UserError) as caught:
        load(write_recipe(("export:\n", sweep)))
    [problem] = map(str, caught.value.problems)
    assert f": `sweep.values`: {told}" in problem


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ("sample_packing: [true]", "`sample_packing` under `rl: dpo`"),
        ("rl: [kto]", "dpo: `rl` is 'kto'"),
        ("adapter: [lora, ia3]", "dpo: `adapter` is 'ia3'"),
        ("deepspeed: [deepspeed/zero9.json]", "no such file: "),
        ("lora_target_modules: ['(q_proj']", "dpo: `(q_proj` is no regular expression"),
        ("dpo_label_smoothing: [0.1]", "`dpo_label_smoothing` with the loss sigmoid"),
        ("_: [{dpo_label_smoothing: 0.1}]", "`dpo_label_smoothing` with the loss sigmoid"),
    ],
)
def test_values_are_checked_as_in_the_stage(write_recipe: Write, values: str, told: str) -> None:
    sweep = f"sweep: {{stage: dpo, values: {{{values}}}}}\nexport:\n"
    with pytest.raises(UserError) as caught:
        load(write_recipe(("export:\n", sweep)))
    [problem] = map(str, caught.value.problems)
    assert told in problem
    assert Path(problem.split(":")[0]).name == "small.yml"


def test_values_that_go_together_are_checked_together(write_recipe: Write) -> None:
    together = "_: [{dpo_label_smoothing: 0.1, dpo_loss_type: [robust]}]"
    load(write_recipe(("export:\n", f"sweep: {{stage: dpo, values: {{{together}}}}}\nexport:\n")))


def test_no_trial_runs_before_all_are_checked(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = load(write_recipe(("export:\n", SWEEP)))
    tried: list[str] = []

    def refuse(path: Path, overrides: list[str]) -> None:
        tried.extend(overrides)
        raise UserError(Problem("here", overrides[0]))

    monkeypatch.setattr("stemma.training.sweep.load", refuse)
    with pytest.raises(UserError) as caught:
        search(recipe, Run(tmp_path / "run"), print)
    assert sorted(problem.found for problem in caught.value.problems) == sorted(tried)
    assert len(tried) == 3
    assert not (tmp_path / "run").exists()


def test_without_the_section(write_recipe: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe()
    assert main(["sweep", "small"]) == 2
    assert (
        "small.yml: recipe `small` has no `sweep` section\n  expected: e.g. sweep: {st"
        in capsys.readouterr().err
    )


def test_finished_trials_are_not_trained_again(write_recipe: Write, run: Run) -> None:
    recipe = load(write_recipe((BEFORE, LORA), ("export:\n", SWEEP.replace(", 1e-5, 1e30", ""))))
    [values] = permutations({"learning_rate": [1e-2]})
    name = f"trial-{digest_json(values)[:8]}"
    folder = run.folder("sweep") / "sft" / name
    key = key_of(load(recipe.path, Trial(name, values).sets("sft")), run, "sft")
    write_json(folder / "trial.json", {"key": key, "values": values})
    write_jsonl(
        folder / "history.jsonl", [{"step": 2, "eval_loss": 0.9}, {"step": 4, "eval_loss": 0.8}]
    )
    results = search(recipe, run, print)
    assert results.trials == [Trial(name, values, 0.8, 4)]
    assert read_results(run) == [results]
    lines = folder.with_name("sweep.md").read_text().splitlines()
    assert lines[2:] == [
        f"| {name} | 0.01 | 0.8 | 4 | best |",
        "",
        "    --set 'sft.learning_rate=0.01'",
    ]


@pytest.mark.slow
def test_real_trials_resume_and_a_failure_does_not_stop_them(write_recipe: Write, run: Run) -> None:
    recipe = load(write_recipe((BEFORE, LORA), ("export:\n", SWEEP)))
    results = search(recipe, run, print)
    assert [trial.values["learning_rate"] for trial in results.trials] == [1e-2, 1e-5, 1e30]
    # Whichever is seen first: the loss, or the step that DeepSpeed leaves out for its gradient.
    failed = results.trials[2].failed
    assert re.match(
        r"training stopped: .*(the loss of step \d is|the gradient of step \d is not finite)",
        failed,
    )
    assert results.take() == "--set 'sft.learning_rate=0.01'"
    folder = run.folder("sweep") / "sft"
    assert read_json(folder / "sweep.json")["take"] == results.take()
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("*/trial.json")}
    assert len(stamps) == 2
    assert not [path for done in stamps for path in done.parent.glob("training/checkpoint-*")]
    more = load(write_recipe((BEFORE, LORA), ("export:\n", SWEEP.replace("1e30", "1e-3"))))
    assert len(search(more, run, print).trials) == 3
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
