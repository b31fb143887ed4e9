"""The changes of a rehearsal: few rows and steps, nothing from outside, and every change told. Pure
functions."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.recipe.load import load, names
from stemma.recipe.models import Recipe
from stemma.rehearsal.changes import Changes, Machine, lacking, shorten
from tests.conftest import Write
from tests.factories.recipes import MADE

LAPTOP = Machine(memory=20 * 10**9, disk=10**12, bfloat16=False, gpu=False)
SERVER = Machine(memory=10**12, disk=10**12, bfloat16=True, gpu=True)
MODEL = Path("runs/rehearsals/x/model")


def rehearsed(name: str | Path, machine: Machine = LAPTOP) -> tuple[Recipe, Changes]:
    full = load(name)
    changes = shorten(full, machine, None if full.base else MODEL, 2)
    return load(name, changes.around([])), changes


@pytest.mark.parametrize("name", names())
def test_every_recipe_can_be_shortened_and_stays_itself(name: str) -> None:
    full = load(name)
    recipe, changes = rehearsed(name)
    assert recipe.training_stages() == full.training_stages()
    assert recipe.exported() == full.exported()
    assert recipe.eval.variants == full.eval.variants
    assert [task.task for task in recipe.eval.tasks] == [task.task for task in full.eval.tasks]
    assert recipe.export.gates.max_kl == full.export.gates.max_kl, "no gate is loosened"
    for stage in recipe.training_stages():
        keys, before = recipe.axolotl(stage), full.axolotl(stage)
        assert keys["max_steps"] == 3
        kept = ("adapter", "lora_r", "lora_target_modules", "deepspeed", "rl_beta")
        assert {key: keys.get(key) for key in kept} == {key: before.get(key) for key in kept}
        rate = 1e-3 if stage == "dpo" else before["learning_rate"]
        assert keys["learning_rate"] == rate, (
            "three steps must move a random model, but teach it nothing"
        )
        assert any(note.startswith(f"{stage}: 3 steps") for note in changes.notes)
    assert recipe.data.generator is None or recipe.data.generator.server == "scripted-expert"
    assert {judging.generator.server for judging in recipe.eval.judge} <= {"scripted-expert"}
    assert all(judging.questions <= 4 for judging in recipe.eval.judge)


def test_replies_are_judged_and_scored_as_text_in_a_rehearsal_too() -> None:
    """gemma2b's entity graph and gemma2b-judged's win rate, in small and without a key."""
    recipe, changes = rehearsed("gemma2b-judged")
    [judging] = recipe.eval.judge
    assert (judging.policy, judging.reference, judging.task) == ("dpo", "base", "judge-base")
    assert (judging.questions, judging.generator.server) == (4, "scripted-expert")
    assert recipe.eval.text is not None
    assert recipe.eval.text.tagger == "light"
    assert "the judge is the scripted expert on loopback" in changes.notes
    assert load("gemma2b").eval.judge == [], "gemma2b's evaluation needs no key"
    needed = lacking(load("gemma2b-judged"), {}, has_weights=True)
    assert "the variable OPENAI_API_KEY, the judge's key" in needed


def test_the_made_model_takes_the_base_models_place() -> None:
    recipe, _ = rehearsed("gemma2b")
    assert (recipe.base_model, recipe.base_revision, recipe.name) == (str(MODEL), None, "gemma2b")


def test_a_model_made_on_the_spot_gets_fewer_layers(write_recipe: Write) -> None:
    recipe, _ = rehearsed(write_recipe())
    assert recipe.base is not None
    assert recipe.base.model["num_hidden_layers"] == 2
    assert recipe.axolotl("base")["max_steps"] == 40


def test_sources_whose_files_are_there_are_read_a_little(
    write_recipe: Write, tmp_path: Path
) -> None:
    (tmp_path / "train.jsonl").write_text("", encoding="utf-8")
    recipe, changes = rehearsed(
        write_recipe(("path: train.jsonl", "limit: 7, path: train.jsonl, sample: 0.5"))
    )
    assert recipe.data.sft is not None
    assert recipe.data.dpo is not None
    [source] = recipe.data.sft.sources
    assert (source.source, source.limit) == ("gsm8k", 7)
    assert source.sample == {"train": 8, "validation": 2, "test": 4}
    [replaced] = recipe.data.dpo.sources
    assert (replaced.source, replaced.sample["train"]) == ("stem_exercises", 24)
    assert (
        "data.dpo: synthetic exercises in place of preference_jsonl, whose files are not there"
        in changes.notes
    )
    assert not any(note.startswith("data.sft") for note in changes.notes)
    assert recipe.data.sft.parts.test == 0.3, "so that a handful of rows has some to test on"


def test_a_hub_data_set_is_not_read(write_recipe: Write) -> None:
    pinned = "path: train.jsonl, hub: openai/gsm8k, revision: " + "a" * 40
    recipe, _ = rehearsed(write_recipe(("path: train.jsonl", pinned)))
    assert recipe.data.sft is not None
    assert [source.source for source in recipe.data.sft.sources] == ["stem_exercises"]


def test_shares_of_a_total_go_with_the_total(write_recipe: Write, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("", encoding="utf-8")
    recipe, _ = rehearsed(
        write_recipe(
            (
                "    - {source: gsm8k, path: train.jsonl}",
                "    - {source: gsm8k, path: train.jsonl, weight: 2.0}",
            ),
            ("  dpo:\n    sources:", "    total: 500\n  dpo:\n    sources:"),
        )
    )
    assert recipe.data.sft is not None
    assert (recipe.data.sft.total, recipe.data.sft.sources[0].weight) == (None, None)


def test_what_needs_a_gpu_is_replaced_and_told() -> None:
    recipe, changes = rehearsed("gemma2b-fast")
    dpo, mcq = recipe.axolotl("dpo"), recipe.axolotl("mcq")
    assert (dpo["tf32"], dpo["liger_rope"], mcq["liger_fused_linear_cross_entropy"]) == (
        False,
        False,
        False,
    )
    assert (mcq["sample_packing"], mcq["sequence_len"], mcq["micro_batch_size"]) == (True, 128, 1)
    assert (dpo["sequence_len"], dpo["micro_batch_size"]) == (256, 8)
    told = next(note for note in changes.notes if note.startswith("mcq:"))
    assert "sequence_len 1024 → 128, micro_batch_size 4 → 1, tf32 True → False" in told
    assert (dpo["bf16"], "bf16" in told) == ("auto", False)
    on_gpu, _ = rehearsed("gemma2b-fast", SERVER)
    assert on_gpu.axolotl("dpo")["liger_rope"] is True


def test_bf16_is_left_open_where_the_processor_has_none(write_recipe: Write) -> None:
    path = write_recipe(
        (MADE, "base_model: google/gemma-2b\n"), ("  lora_r: 8\n", "  lora_r: 8\n  bf16: true\n")
    )
    path.write_text(
        path.read_text().replace("  corpus: {sources: [{source: from_sets}]}\n", ""),
        encoding="utf-8",
    )
    assert rehearsed(path)[0].axolotl("sft")["bf16"] == "auto", "this processor has none"
    assert rehearsed(path, SERVER)[0].axolotl("sft")["bf16"] is True


def test_what_the_full_run_lacks_here_is_told(write_recipe: Write, tmp_path: Path) -> None:
    recipe = load(
        write_recipe(("data:\n", "data:\n  generator: {model: m, api_key_env: MY_KEY}\n"))
    )
    found = lacking(recipe, {}, has_weights=False)
    assert found[0] == "2 data files, the first pairs.jsonl (DATA=folder)"
    assert found[1] == "the variable MY_KEY, the generator's key"
    assert found[2].startswith("the weights of None")
    for name in ("pairs.jsonl", "train.jsonl"):
        (tmp_path / name).touch()
    assert lacking(recipe, {"MY_KEY": "secret"}, has_weights=True) == []


def test_a_paid_judge_is_never_rehearsed() -> None:
    paid = "eval.judge.0.generator={server: openai, model: m, api_key_env: MY_KEY}"
    full = load("tiny", [paid])
    changes = shorten(full, LAPTOP, None, 2)
    [judging] = load("tiny", changes.around([])).eval.judge
    assert (judging.generator.server, judging.questions) == ("scripted-expert", 4)
    assert (judging.policy, judging.reference) == ("dpo", "base")
    assert "the judge is the scripted expert on loopback" in changes.notes
    assert "the variable MY_KEY, the judge's key" in lacking(full, {}, has_weights=True)


def test_no_server_is_asked_in_a_rehearsal() -> None:
    served = "eval.servers={vllm: {base_url: 'https://h/v1', model: m, api_key_env: MY_KEY}}"
    plain = load("tiny")
    full = load("tiny", [served, f"eval.variants={[*plain.eval.variants, 'vllm']}"])
    changes = shorten(full, LAPTOP, None, 2)
    assert load("tiny", changes.around([])).eval.variants == plain.eval.variants
    assert "no server is asked: variants of `eval.servers` are left out" in changes.notes
    assert "the variable MY_KEY, the key of server vllm" in lacking(full, {}, has_weights=True)
    assert lacking(plain, {}, has_weights=True) == lacking(full, {"MY_KEY": "k"}, has_weights=True)


def test_evaluation_never_grows() -> None:
    full, recipe = load("course"), rehearsed("course")[0]
    for before, after in zip(full.eval.tasks, recipe.eval.tasks, strict=True):
        assert after.limit == 4
        figures = before.model_dump(exclude={"task", "limit"}, exclude_none=True)
        assert all(getattr(after, key) <= most for key, most in figures.items())


def test_benchmarks_are_asked_a_little_where_their_data_lie(write_recipe: Write) -> None:
    path = write_recipe()
    tasks = path.parent / "tasks"
    tasks.mkdir()
    for name, source in (("here", "json"), ("hub", "owner/set")):
        (tasks / f"{name}.yaml").write_text(
            f"task: {name}\ndataset_path: {source}\ntest_split: test\n"
            f"dataset_kwargs: {{data_files: {{test: {name}.jsonl}}}}\n"
            "output_type: multiple_choice\n",
            encoding="utf-8",
        )
    (tasks / "here.jsonl").touch()
    chosen = "{tasks: [here, hub], limit: 500, revisions: {owner/set: abc}}"
    hub = "{lm_eval/hub: {dataset: owner/set, task_id: x}}"
    given = [f"eval.benchmarks={chosen}", f"eval.hub_benchmarks={hub}"]
    changes = shorten(load(path, given), LAPTOP, None, 2)
    recipe = load(path, [*given, *changes.overrides])
    assert recipe.eval.benchmarks
    assert (recipe.eval.benchmarks.tasks, recipe.eval.benchmarks.limit) == (["here"], 4)
    assert recipe.eval.hub_benchmarks == {}
    assert "1 benchmark(s) left out, their data are not on this machine" in changes.notes


def test_two_judges_of_the_same_variants_keep_their_names() -> None:
    judge = "policy: dpo, reference: base, generator: {server: %s, model: m}"
    both = ", ".join(f"{{{judge % server}}}" for server in ("openai", "scripted-expert"))
    given = [f"eval.judge=[{both}]"]
    changes = shorten(load("tiny", given), LAPTOP, None, 2)
    judges = load("tiny", [*given, *changes.overrides]).eval.judge
    assert [one.task for one in judges] == ["judge-base", "judge-base-scripted"]
