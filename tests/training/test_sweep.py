"""The search: combinations, ranking, what is trained again, and two real trials (slow)."""

from __future__ import annotations

import re

import pytest

from stemma.cli import main
from stemma.errors import UserError
from stemma.jsonl import read_json, write_json, write_jsonl
from stemma.keys import key_of
from stemma.recipe.load import load
from stemma.runs import Run, digest_json
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
        "--set 'sft.learning_rate=0.01'",
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
