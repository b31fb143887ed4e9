"""The plan: Gemma 2B's runs of the report, by hand; steps as the trainer counts them; its text and
its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma.cli import main
from stemma.errors import UserError
from stemma.plan.data_rows import DataPlan
from stemma.plan.forecast import Hardware, plan
from stemma.plan.peaks import PROCESS
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.rows import PreferenceRow
from stemma.runs import Run
from stemma.stages import Forecast
from stemma.training.trained_weights import count_weights
from tests.conftest import Write
from tests.factories.recipes import MADE

LORA = "  lora_r: 8\n"
TARGETS = "  lora_target_modules: [q_proj, v_proj]\n  sequence_len: 1024\n  bf16: true\n"
REPORT = (
    (MADE, "base_model: google/gemma-2b\n"),
    (LORA, LORA + TARGETS),
    ("sft: {start_from: base,", "sft: {start_from: base, micro_batch_size: 8, num_epochs: 4,"),
    ("rl: dpo,", "rl: dpo, trainer: stock, micro_batch_size: 4, num_epochs: 3,"),
    ("path: train.jsonl", "use: train, limit: 28000, path: train.jsonl"),
)
PAIRS = (
    "- {source: preference_jsonl, path: pairs.jsonl}",
    "- {source: preference_jsonl, use: train, limit: 10400, path: pairs.jsonl}\n"
    "    - {source: preference_jsonl, use: test, path: held.jsonl}",
)


@pytest.fixture
def recipe(write_recipe: Write) -> Recipe:
    return load(write_recipe(*REPORT, PAIRS))


def test_the_reports_runs(recipe: Recipe, tmp_path: Path) -> None:
    found = plan(recipe, Run(tmp_path), Hardware())
    sft, dpo = found.stages
    assert [sft.steps, dpo.steps] == [4 * 28_000 // 8, 3 * 10_400 // 4] == [14_000, 7_800]
    assert [sft.tokens, dpo.tokens] == [28_000 * 350 * 4, 10_400 * 2 * 350 * 3]
    assert [sft.trainable, dpo.trainable] == [921_600, 921_600]
    assert dpo.flops is not None
    assert round(dpo.flops / 790e12) == 419
    # Adapter 3.7 MB, merged 5.01 GB, Axolotl's second copy, two checkpoints of weights and two
    # moments, and in each the tied head in bf16.
    assert dpo.disk == 921_600 * 4 + 2 * 5_012_344_832 + 2 * (921_600 * 12 + 256_000 * 2048 * 2)
    assert list(found.exports) == ["merged", "gguf-F16", "gguf-Q4_K_M"]


def test_stemmas_trainer_runs_the_reference_once_and_keeps_no_logits(
    write_recipe: Write, tmp_path: Path
) -> None:
    recipe = load(write_recipe(*REPORT, PAIRS, ("trainer: stock, ", "")))
    dpo = plan(recipe, Run(tmp_path), Hardware()).stages[1]
    assert dpo.flops is not None
    assert round(dpo.flops / 790e12) == 297
    assert dpo.memory.logits < 0.7e9


def test_the_stock_trainers_chunked_path_keeps_no_logits_either(
    write_recipe: Write, tmp_path: Path
) -> None:
    chunked = ("trainer: stock, ", "trainer: stock, dpo_use_liger_kernel: true, ")
    sft, dpo = plan(load(write_recipe(*REPORT, PAIRS, chunked)), Run(tmp_path), Hardware()).stages
    stock = plan(load(write_recipe(*REPORT, PAIRS)), Run(tmp_path), Hardware()).stages[1]
    assert dpo.flops is not None
    assert stock.flops is not None
    # Of 350 positions the 200 answers go through the head thrice (forward, gradient, reference) and
    # are computed again.
    assert stock.flops - dpo.flops == pytest.approx(31_200 * 2 * (3 * 150 - 200) * 2 * 524_288_000)
    assert dpo.memory.logits < 1e9 < 30e9 < stock.memory.logits
    assert (
        dpo.memory.activations < stock.memory.activations
    )  # Liger's norms and activation come with the key
    assert sft.memory.logits > 1e9


def test_max_steps_needs_no_rows(write_recipe: Write, tmp_path: Path) -> None:
    recipe = load(write_recipe(*REPORT, ("num_epochs: 3,", "max_steps: 30,")))
    dpo = plan(recipe, Run(tmp_path), Hardware(gpus=2)).stages[1]
    assert (dpo.amount.rows, dpo.steps, dpo.tokens) == (None, 30, 30 * 4 * 2 * 2 * 350)


def test_packed_rows_fill_sequences(write_recipe: Write, tmp_path: Path) -> None:
    recipe = load(
        write_recipe(
            *REPORT, ("num_epochs: 4,", "num_epochs: 1, sample_packing: true,"), ("28000", "1024")
        )
    )
    sft = plan(recipe, Run(tmp_path), Hardware()).stages[0]
    # 1024 rows of 350 tokens fill 350 sequences of 1024: 44 batches of 8.
    assert (sft.steps, sft.tokens) == (44, 1024 * 350)


def test_what_is_not_counted_is_refused(write_recipe: Write, tmp_path: Path) -> None:
    saved = load(
        write_recipe(
            *REPORT, ("  lora_r: 8\n", "  lora_r: 8\n  lora_modules_to_save: [embed_tokens]\n")
        )
    )
    with pytest.raises(
        UserError, match=r"small.yml: sft: `plan` does not count `lora_modules_to_save`"
    ):
        plan(saved, Run(tmp_path), Hardware())
    head = load(
        write_recipe(*REPORT[:1], (LORA, LORA + TARGETS.replace("v_proj", "lm_head")), name="small")
    )
    with pytest.raises(
        UserError, match="sft: lora_target_modules lm_head\n  expected: some of q_proj"
    ):
        plan(head, Run(tmp_path), Hardware())


@pytest.mark.usefixtures("torch_for_cpus")
def test_the_command(recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "small", "--tflops", "790", "--set", "data.sft.sources.0.limit=null"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "small: google/gemma-2b, 2,506,172,416 parameters (published shapes)"
    assert lines[3].split()[:6] == ["sft", "–", "–", "–", "–", "–"]
    assert lines[4] == (
        "dpo    10,400  7,800  21,840,000    331  419 s  921,600  0.037%  "
        "limits of the recipe; 350 tokens assumed"
    )
    assert lines[9].split() == ["dpo", "5.01", "0.0074", "0.0074", "19.86", "33.55", "58.44"]
    # 4 x 2,506,172,416 and the embedding in bf16; weights in bf16, a batch's layer (0.47) and
    # logits (0.2).
    assert lines[11] == (
        "GB behind the training at most: sft 11.07 (gates) · dpo 11.07 (gates) · "
        "export 11.07 (gates) · eval 5.68 (base)"
    )
    assert lines[12] == "beside these a process holds 0.67 GB"
    assert lines[13] == "GB of a process that trains without a GPU: sft 63.29 · dpo 67.48"
    assert (
        lines[15]
        == "GB on disk: sft 7.14 · dpo 12.15 · merged 5.01 · gguf-F16 5.01 · gguf-Q4_K_M 1.62"
    )
    assert lines[16] == "data: not counted, small.yml (data): no such file: held.jsonl and 2 more"
    assert lines[17] == "API: 0 dollars; nothing is asked of a paid server"
    assert lines[19].split() == [
        *("task", "questions", "shows", "a", "difference", "of", "2", "points", "need")
    ]
    assert lines[20].split() == ["preference", "–", "–", "1,546"]
    assert lines[21] == (
        "against merged on the same questions, in 80% of evaluations, if 10% of answers change "
        "(eval.non_inferiority.changed):"
    )
    assert lines[24] == "in all: FLOPs unknown · 30.93 GB on disk · 0 dollars"
    assert main(["plan", "small", "--tflops", "790", "--gpus", "2"]) == 0
    # 331 and 396 PFLOP: 419 and 501 s on one GPU.
    assert (
        "\nin all: 727 PFLOP, 460 s at least · 30.93 GB on disk · 0 dollars\n"
        in capsys.readouterr().out
    )


def test_gemma2b_trains_the_reports_share(tmp_path: Path) -> None:
    for name in ("gemma2b", "gemma2b-sft-dpo", "gemma2b-clean", "gemma2b-as-reported"):
        found = plan(load(name), Run(tmp_path), Hardware())
        for stage in found.stages:
            assert (stage.trainable, stage.parameters) == (921_600, 2_506_172_416)
            assert f"{stage.trainable / stage.parameters:.3%}" == "0.037%"
            assert count_weights(load(name), Run(tmp_path), stage.stage) == (921_600, 2_507_094_016)
    gemma, fast = (
        plan(load(name), Run(tmp_path), Hardware()).stages[0].flops or 0
        for name in ("gemma2b", "gemma2b-fast")
    )
    assert [round(flops / 790e12) for flops in (gemma, fast)] == [297, 104], "seconds at least"
    sft, dpo, _ = plan(load("gemma2b-sft-dpo"), Run(tmp_path), Hardware()).stages
    assert (sft.steps, dpo.steps) == (14_000, 7_800), "as the report's, before any file is there"


def test_quantised_files_are_made_from_a_float_one(tmp_path: Path) -> None:
    found = plan(load("gemma2b"), Run(tmp_path), Hardware())
    assert found.source == 2 * 2_506_172_416 + 2 * 37 * 2048, (
        "in float16, norms in float32; it goes when they are proven"
    )
    assert (
        found.disk
        == sum(stage.disk for stage in found.stages) + sum(found.exports.values()) + found.source
    )
    assert plan(load("gemma-2-2b"), Run(tmp_path), Hardware()).source == 0, (
        "its F16 file is one of the formats"
    )


def test_gemma2b_fast_fits_a_gpu_of_80_gb(tmp_path: Path) -> None:
    dpo, mcq = plan(load("gemma2b-fast"), Run(tmp_path), Hardware()).stages
    # A layer's matrices are 2048 x (2048, 256, 256, 2048) and three of 2048 x 16384: 8 x (in + out)
    # of each.
    assert dpo.trainable == 18 * 8 * (4096 + 2304 + 2304 + 4096 + 3 * 18_432) == 9_805_824
    assert dpo.steps == 10_400 // 16
    assert max(dpo.memory.total, mcq.memory.total) < 80e9
    assert mcq.memory.logits < 0.1e9, "Liger's loss keeps no logits"


def test_memory_is_of_the_longest_rows(write_recipe: Write, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path), load(write_recipe(*REPORT, ("28000", "1000"), PAIRS))
    pair = PreferenceRow(
        id="a", source="s", question_id="q", prompt="p" * 20, chosen="c" * 10, rejected="r" * 30
    )
    counted = Forecast({}, {"dpo": [pair], "sft": []}, {"dpo": 0, "sft": 1000})
    dpo = plan(recipe, run, Hardware(), DataPlan(counted, 0.0, "")).stages[1]
    # 92 characters (the names of two unknown tokens among them) are 23 tokens of four; eight
    # sequences.
    assert dpo.memory.logits == 8 * 23 * 256_000 * 16


def test_the_fullest_process_of_a_stage(tmp_path: Path) -> None:
    found = plan(load("gemma2b"), Run(tmp_path), Hardware(cpu=True))
    assert (
        found.peak("dpo")
        == found.stages[0].process
        > PROCESS["engines"] + found.peaks["dpo"]["gates"]
    )
    assert found.peak("dpo", cpu=False) == PROCESS["engines"] + found.peaks["dpo"]["gates"]
    assert found.peak("eval") == PROCESS["engines"] + max(found.peaks["eval"].values())
    assert found.peak("data") is None


def test_on_a_cpu_the_tiles_are_small(tmp_path: Path) -> None:
    gpu, cpu = (
        plan(load("gemma2b"), Run(tmp_path), Hardware(cpu=on_cpu)).stages[0].memory
        for on_cpu in (False, True)
    )
    assert gpu.logits - cpu.logits == 2 * (256 - 8) * 2**20


def test_what_cannot_be_counted_says_why(write_recipe: Write, tmp_path: Path) -> None:
    packed = load(write_recipe(*REPORT, ("  lora_r: 8\n", "  lora_r: 8\n  load_in_4bit: true\n")))
    assert count_weights(packed, Run(tmp_path), "sft") == "the weights are packed in nf4"
    strange = load(write_recipe(*REPORT, ("  lora_r: 8\n", "  lora_r: 8\n  peft_use_dora: true\n")))
    assert (
        count_weights(strange, Run(tmp_path), "sft") == "sft: `plan` does not count `peft_use_dora`"
    )


def test_what_auto_comes_to_on_this_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    has, lacks = (
        plan(load("gemma2b"), Run(tmp_path), Hardware(cpu=True, bfloat16=it)).stages[0]
        for it in (True, False)
    )
    assert [one.memory.weights for one in (has, lacks)] == [2 * 2_506_172_416, 4 * 2_506_172_416]
    assert has.in_float32 == lacks.process == lacks.in_float32 > has.process
    on_gpu = plan(load("gemma2b"), Run(tmp_path), Hardware(bfloat16=False)).stages[0]
    assert on_gpu.memory.weights == 2 * 2_506_172_416, "a GPU has it"
    # A recipe that says so leaves nothing open.
    stated = load("gemma2b", ["train.bf16=true"])
    assert main(["plan", "gemma2b", "--runs", str(tmp_path)]) == 0
    assert (
        f"; where the CPU has no bfloat16 dpo {has.in_float32 / 1e9:.2f} · mcq "
        in capsys.readouterr().out
    )
    decided = plan(stated, Run(tmp_path), Hardware(cpu=True, bfloat16=False)).stages[0]
    assert decided.in_float32 == decided.process == has.process
