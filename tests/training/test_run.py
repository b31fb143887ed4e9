"""The training stages through real Axolotl and DeepSpeed (slow), and what they do around it
(quick)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemma import stages
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, write_jsonl
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import Run
from stemma.stages import Work
from stemma.training import run as train
from stemma.training.handover import deepspeed_proof, trim
from stemma.training.precision import cpu_has_bfloat16
from tests.conftest import Write
from tests.factories.manifests import put_manifest
from tests.factories.recipes import LORA


def recipe_with(write_recipe: Write, *changes: tuple[str, str]) -> Recipe:
    before = "train:\n  adapter: lora\n  lora_r: 8\n"
    return load(write_recipe((before, LORA), *changes))


@pytest.mark.slow
def test_sft_then_dpo(write_recipe: Write, run: Run) -> None:
    recipe = recipe_with(write_recipe)
    said: list[str] = []
    for stage in ("sft", "dpo"):
        assert stages.execute(recipe, run, stage, said.append) == "done"
        manifest = run.manifest(stage)
        assert set(manifest.outputs) == {"adapter", "merged", "history", "axolotl"}
        assert manifest.facts["steps"] == 4
        assert "optim_states" in manifest.facts["deepspeed"]
        assert manifest.facts["merge"]["max_difference"] < 1e-4
        assert stages.execute(recipe, run, stage, said.append) == "up to date"
    assert "the weights of `sft`" in run.manifest("dpo").facts["start"]
    assert run.manifest("dpo").facts["reference"]["first_margin"] == 0
    assert [
        row["step"] for row in read_dicts(run.output("dpo", "history")) if "rewards/margins" in row
    ] == [1, 2, 3, 4]
    assert (
        json.loads((run.output("dpo", "adapter") / "adapter_config.json").read_text())[
            "base_model_name_or_path"
        ]
        == "small/sft/merged"
    )


@pytest.mark.slow
@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU does not compute in bfloat16")
def test_auto_trains_in_bfloat16_where_the_cpu_can(write_recipe: Write, run: Run) -> None:
    recipe = recipe_with(write_recipe, ("bf16: false\n  fp16: false", "bf16: auto\n  max_steps: 2"))
    for stage in ("sft", "dpo"):
        assert stages.execute(recipe, run, stage, print) == "done"
        facts = run.manifest(stage).facts
        assert (facts["steps"], facts["computed_in"]) == (2, "bfloat16")
        assert "bf16_zero_pp_rank_0" in facts["deepspeed"]
        assert facts["merge"]["max_difference"] < 1e-4, "merged in float32, as the base is stored"
    found = run.manifest("dpo").facts["reference"]
    assert found["first_margin"] == 0
    for side in ("chosen", "rejected"):
        assert found[f"logps/{side}"]["trainer"] == pytest.approx(
            found[f"logps/{side}"]["stated reference"], abs=0.1
        )
    assert found["precomputed_apart"] < 0.1, (
        "kept in float32: in bfloat16 it would come in steps of a quarter"
    )


@pytest.mark.slow
@pytest.mark.skipif(not cpu_has_bfloat16(), reason="this CPU does not compute in bfloat16")
def test_a_batch_cut_in_two_is_the_same_step_with_gradients_in_float32(
    write_recipe: Write, run: Run
) -> None:
    """`lora_fp32_gradients` beside `loss_average: step`: both divide by the step's tokens, and
    neither twice."""
    losses = []
    for rows, accumulated in ((4, 1), (2, 2)):
        size = f"micro_batch_size: {rows}\n  gradient_accumulation_steps: {accumulated}"
        size += "\n  lora_fp32_gradients: true"
        changes = ("bf16: false\n  fp16: false", "bf16: auto"), ("micro_batch_size: 4", size)
        assert stages.execute(recipe_with(write_recipe, *changes), run, "sft", print) == "done"
        losses.append(
            [row["loss"] for row in read_dicts(run.output("sft", "history")) if "loss" in row]
        )
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(losses[0], abs=0.01)


@pytest.mark.slow
def test_tensorboard_and_wandb_by_key(
    write_recipe: Write, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    asked = (
        "  lora_alpha: 8\n  use_tensorboard: true\n  wandb_project: small\n  wandb_mode: offline\n"
    )
    recipe = load(
        write_recipe(
            ("train:\n  adapter: lora\n  lora_r: 8\n", LORA.replace("  lora_alpha: 8\n", asked))
        )
    )
    assert stages.execute(recipe, run, "sft", print) == "done"
    assert [path.name[:19] for path in run.output("sft", "tensorboard").iterdir()] == [
        "events.out.tfevents"
    ]
    assert list(run.folder("sft").glob("wandb/offline-run-*")), "kept here, nothing is sent"


@pytest.mark.slow
def test_a_training_that_diverges_stops_the_stage(write_recipe: Write, run: Run) -> None:
    """Whichever is seen first: which of them is not finite depends on torch's order of sums."""
    recipe = recipe_with(write_recipe, ("learning_rate: 2e-4", "learning_rate: 1e30"))
    with pytest.raises(
        StageFailed, match=r"training stopped: .*(loss of step 2 is (nan|inf)|gradient of step 2 )"
    ):
        stages.execute(recipe, run, "sft", print)
    assert run.read_manifest("sft") is None


@pytest.mark.slow
def test_a_step_that_deepspeed_leaves_out_stops_the_stage(write_recipe: Write, run: Run) -> None:
    """Its gradient is not finite, its loss is: left alone, 4 of 4 steps, exit code 0, and no weight
    moved behind it."""
    recipe = recipe_with(
        write_recipe,
        ("learning_rate: 2e-4", "learning_rate: 1e18"),
        ("bf16: false", "bf16: true"),
        ("deepspeed/zero1.json", "deepspeed/zero0.json"),
    )
    told = r"training stopped: DeepSpeed has left out 1 of (\d) optimizer steps, silently: "
    told += r"the gradient of step \1 "
    with pytest.raises(StageFailed, match=told):
        stages.execute(recipe, run, "sft", print)
    assert run.read_manifest("sft") is None


def test_no_rows_to_train_on(write_recipe: Write, run: Run) -> None:
    write_jsonl(run.folder("data") / "sft/train.jsonl", [])
    put_manifest(run, "data", ["sft/train.jsonl", "sft/validation.jsonl"])
    with pytest.raises(UserError, match="no rows to train on"):
        train.run(Work(recipe_with(write_recipe), run, "sft", print))


def test_rows_all_too_long(write_recipe: Write, run: Run) -> None:
    recipe = recipe_with(write_recipe, ("sequence_len: 64", "sequence_len: 16"))
    path = run.folder("data") / "sft/train.jsonl"
    longer = path.read_text(encoding="utf-8").replace('"content": "', '"content": "Think of it: ')
    path.write_text(longer, encoding="utf-8")
    put_manifest(run, "data", ["sft/train.jsonl", "sft/validation.jsonl"])
    with pytest.raises(UserError, match="16 were longer than sequence_len"):
        train.run(Work(recipe, run, "sft", print))


def test_deepspeed_must_have_run(tmp_path: Path) -> None:
    config = {
        "deepspeed": "zero1.json",
        "output_dir": str(tmp_path),
        "dataset_prepared_path": str(tmp_path / "prepared"),
    }
    with pytest.raises(StageFailed, match=r"no checkpoint in .* holds its optimizer state"):
        deepspeed_proof(config)
    proof = tmp_path / "checkpoint-2" / "global_step2" / "zero_pp_rank_0_mp_rank_00_optim_states.pt"
    proof.parent.mkdir(parents=True)
    proof.touch()
    name = "checkpoint-2/global_step2/zero_pp_rank_0_mp_rank_00_optim_states.pt"
    assert deepspeed_proof(config) == name
    trim(config)
    assert not proof.exists()
    assert deepspeed_proof(config) == name, "the proof outlives the checkpoints"
