"""Planned beside measured, and the table of a search."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from report.page import MARKDOWN, render
from report.planned import Costs, apart, dollars, expected, memory_reason, planned, sweeps, total
from report.run import gather
from stemma.facts import GeneratorFacts
from stemma.jsonl import write_json, write_jsonl
from stemma.plan.peaks import HOLES, PROCESS
from stemma.rows import Message, SftRow
from stemma.runs import describe
from stemma.stages import Work
from stemma.training.sweep_results import Results, Trial
from tests.factories.manifests import change_manifest
from tests.factories.run_to_report import LORA, SET, make_recipe, make_work

MODEL = {
    "model_type": "gemma",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 16,
}


def test_without_shapes_or_data_nothing_was_expected(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    assert planned(evidence).rows == []
    assert sweeps(evidence).rows == []


def _nine_rows(folder: Path, memory: int) -> Work:
    """A run whose SFT trained on nine rows and held so many bytes."""
    train = {
        "adapter": "lora",
        "lora_r": 8,
        "lora_target_modules": ["q_proj"],
        "micro_batch_size": 2,
        "bf16": False,
    }
    base = {"model": MODEL, "tokenizer": {"vocab_size": 500}}
    evals = {"variants": ["base", "merged"], "tasks": [{"task": "mcq"}]}
    only = make_recipe(
        base=base,
        train=train,
        dpo=None,
        mcq=None,
        eval=evals,
        export={"from": "sft", "gguf": {"types": ["F16"]}, "ship": "gguf-F16"},
        chat_template=str(Path("recipes/templates/qa.jinja").resolve()),
    )
    work = make_work(folder, only, [])
    turns = [Message(role="user", content="1 + 1?"), Message(role="assistant", content="2")]
    data = work.run.folder("data")
    write_jsonl(
        data / "sft/train.jsonl", [SftRow(id=str(i), source="s", messages=turns) for i in range(9)]
    )
    write_jsonl(data / "corpus.jsonl", [{"id": "a", "source": "s", "text": "1 + 1 = 2"}])
    write_jsonl(data / "mcq/test.jsonl", [])
    files = {
        "sft/train": "sft/train.jsonl",
        "corpus/train": "corpus.jsonl",
        "mcq/test": "mcq/test.jsonl",
        "statistics": "statistics.json",
    }
    outputs = {name: describe(data, path) for name, path in files.items()}
    change_manifest(work.run, "data", outputs=outputs)
    trainable = {"trainable_parameters": 2048, "parameters": 100_000, "share": 0.02}
    facts = LORA | {
        "trainable": trainable,
        "steps": 5,
        "processes": 1,
        "rows_a_step": 2,
        "computed_in": "float32",
        "trainer": {},
        "plugins": [],
        "peak_memory": {"bytes": memory, "of": "resident memory"},
    }
    change_manifest(work.run, "sft", facts=facts)
    less = {"peak_memory": {"bytes": memory // 2, "of": "resident memory"}, "steps": 3}
    change_manifest(work.run, "base", facts=facts | less)
    return work


def test_each_stage_has_what_was_planned_and_what_came(tmp_path: Path) -> None:
    work = _nine_rows(tmp_path, memory=900_000_000)
    evidence = gather(work)
    table = [list(row) for row in planned(evidence).rows]
    rows = {str(row[1]): tuple(row[2:4]) for row in table if row[0] == "sft"}
    why = {str(row[1]): row[4] for row in table if row[0] == "sft"}
    base = {str(row[1]): tuple(row[2:4]) for row in table if row[0] == "base"}
    # A is 8 x 64, B 64 x 8, on two layers; nine rows in batches of two are five steps.
    assert rows["trained weights"] == (2 * 8 * (64 + 64), 2048)
    assert rows["optimizer steps"] == (5, 5)
    assert rows["seconds of training"] == (None, 61.2)
    # "<bos>Question: 1 + 1?\n\nAnswer: 2<eos>" is 37 characters, so 9.25 tokens of four. The log
    # ends at epoch 3, and the stage counted 9,000 tokens a pass.
    assert rows["tokens"] == (round(9 * 37 / 4), 3 * 9000)
    assert evidence.plan is not None
    flops = (evidence.plan.stages[-1].flops or 0) / 1e12
    assert rows["TFLOP of training"] == (flops, flops * 27_000 / 83)
    assert rows["of these a second"] == (None, pytest.approx(flops * 27_000 / 83 / 61.2))
    # What is far off says why; what is not, or was not expected, says nothing.
    assert (
        why["tokens"] == why["TFLOP of training"] == "sft: data; 4 characters a token, no tokenizer"
    )
    assert [
        why[name] for name in ("trained weights", "optimizer steps", "seconds of training")
    ] == [None] * 3
    stage, memory = evidence.plan.stages[-1], "memory of one process at most (resident memory)"
    # Of a process without a GPU the interpreter, its engines and the mapped weights count.
    step = stage.memory.total - stage.memory.weights + round(HOLES * stage.memory.activations)
    assert expected(evidence, stage).memory == step + PROCESS["training"] + 4 * stage.parameters
    # The files that `run_folder` wrote, and what the marker said.
    assert rows[memory][1] == "900 MB"
    assert rows["disk: adapter and merged model"][1] == "820 kB"
    # The base model made on the spot is a training as well: all of its weights, in the same terms.
    assert base["trained weights"] == (101_952, 2048)
    assert base[memory][1] == "450 MB"
    assert base["optimizer steps"] == (1, 3)
    # The model: 500 x 64 + 2 x (2 x 64 x 64 + 2 x 64 x 16 + 3 x 64 x 128 + 2 x 64) + 64 = 101,952
    # weights. It is left in four bytes with an adapter of 2,048, merged in bf16, written as F16:
    # 824 kB. Measured are 820, 410 and 415 kB.
    text = render(evidence, MARKDOWN)
    assert (
        "\n| Recipe | Steps | Tokens | TFLOP | TFLOP/s | Seconds "
        "| Memory of a process (resident memory) | Disk | Dollars |\n"
    ) in text
    assert re.search(
        r"\n\| toy, expected \| 5 \| 83 \| [\d.e-]+ \| – \| – \| [\d.]+ GB \| 824 kB \| 0 \|\n",
        text,
    )
    assert re.search(
        r"\n\| toy, measured \| 5 \| 27,000 \| .* \| 61.2 \| 900 MB \| 1.65 MB \| 0 \|\n", text
    )


def test_more_memory_than_expected_is_not_told_by_long_rows(tmp_path: Path) -> None:
    text = render(gather(_nine_rows(tmp_path, memory=2_400_000_000)), MARKDOWN)
    assert "| toy, why apart |" in text
    assert text.count("the allocator keeps more of what is freed than is counted") == 2
    assert "longest row" not in text


def test_a_recipe_is_one_line_expected_and_one_measured(tmp_path: Path) -> None:
    summed = total(
        [Costs(10, 1000, 5e12, None, 700, 150), Costs(4, 600, None, None, 900, 150)], formats=50
    )
    assert summed == Costs(steps=14, tokens=1600, flops=None, seconds=None, memory=900, disk=350)
    came = [Costs(10, 1100, 5.5e12, 11, 800, 100), Costs(4, 700, 1.1e12, 9, 1000, 120)]
    assert total(came, formats=80) == Costs(14, 1800, 6.6e12, 20, 1000, 300)
    assert total(came, 80).cells() == [14, 1800, 6.6, 0.33, 20, "1 kB", "300 B"]
    generator = {"model": "m", "prices": {"input": 1, "output": 2}, "max_cost_usd": 5}
    sets = {"corpus": SET, "sft": SET, "dpo": SET, "mcq": SET}
    work = make_work(tmp_path, make_recipe(data=sets | {"generator": generator}))
    assert dollars(gather(work)) == (0, 0)
    none = dict.fromkeys(GeneratorFacts.model_fields, 0) | {"retried": {}, "unusable": {}}
    used = none | {"cost_usd": 1.234, "requests": 4200}
    data = work.run.manifest("data")
    facts = {**data.facts, "generator": used}
    change_manifest(work.run, "data", facts=facts)
    assert dollars(gather(work)) == ("at most 5.00", "1.23 for 4,200 requests")


def test_a_quarter_apart_is_passed_over() -> None:
    planned_, came = Costs(100, 1000, 8e12, None, 400, 100), Costs(125, 1251, 6e12, 10, 299, 100)
    # Steps 25 % more, tokens 25.1 %; FLOPs 25 % less, their pace and seconds not expected, memory
    # 25.3 % less.
    assert apart(planned_, came) == [False, True, False, False, False, True, False]
    assert not any(apart(Costs(), came))


def test_memory_beyond_what_was_expected_has_another_reason_than_memory_below_it() -> None:
    for of, reason in {
        "resident memory": "the allocator keeps more of what is freed than is counted",
        "GPU memory allocated": "work space of kernels is not counted",
    }.items():
        assert memory_reason(of, 100, 150) == reason
        assert memory_reason(of, 100, 50) == "expected is a batch of the longest rows"


def test_the_best_trial_is_marked(tmp_path: Path) -> None:
    work = make_work(tmp_path)
    trials = [
        {"name": "a", "values": {"rl_beta": 0.3}, "value": 0.8, "step": 90},
        {"name": "b", "values": {"rl_beta": 0.1}, "failed": "training stopped"},
    ]
    found = {
        "stage": "dpo",
        "metric": "eval_rewards/accuracies",
        "goal": "max",
        "trials": trials,
        "take": "…",
    }
    write_json(work.run.folder("sweep") / "dpo" / "sweep.json", found)
    evidence = gather(work)
    best = Trial("a", {"rl_beta": 0.3}, 0.8, 90)
    lost = Trial("b", {"rl_beta": 0.1}, failed="training stopped")
    assert evidence.sweeps == [Results("dpo", "eval_rewards/accuracies", "max", [best, lost])]
    assert sweeps(evidence).rows == [
        ["dpo", "dpo.rl_beta=0.3", "eval_rewards/accuracies", 0.8, 90, "best (max)"],
        ["dpo", "dpo.rl_beta=0.1", "eval_rewards/accuracies", None, None, "training stopped"],
    ]
