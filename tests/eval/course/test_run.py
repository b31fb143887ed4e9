"""The verb `course` on a real tiny run, by the real command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from eval.course.measuring import measure
from eval.course.run import OPTIONS, grade
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json, write_jsonl
from stemma.rows import McqRow
from stemma.stages import Work
from tests.factories.manifests import write_manifest
from tests.factories.run_to_score import make_recipe, make_work

TASKS = [{"task": "mcq"}, {"task": "preference"}]


def asked(answer: str, number: int) -> dict[str, Any]:
    listed = f"A. {number} N\nB. {number} J\nC. neither"
    text = f"Question: What is force {number}?\n\nOptions:\n{listed}\n\nAnswer:"
    return {"subject": "physics", "question": text, "answer": answer}


QUESTIONS = [asked("ABC"[n % 3], n // 2) for n in range(8)]
PAIRS = [
    {"prompt": f"What is {n // 2} + 1?", "chosen": f"It is {n}.", "rejected": f"{n + 2}, of course"}
    for n in range(6)
]
PAIRS[3] |= {"rejected": PAIRS[3]["chosen"]}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("course")
    recipe = make_recipe(["merged", "gguf-F16"], TASKS)
    work = make_work(folder / "runs", recipe)
    write_jsonl(folder / "m.jsonl", QUESTIONS)
    write_jsonl(folder / "p.jsonl", PAIRS)
    grade(work, [folder / "p.jsonl", folder / "m.jsonl"], folder / "out")
    return work


def out(work: Work, name: str) -> Path:
    return work.run.root.parent.parent / "out" / name


def test_every_line_is_scored_and_named(work: Work) -> None:
    for variant in ("merged", "gguf-F16"):
        questions = read_dicts(out(work, f"mcqa/{variant}.jsonl"))
        assert [row["id"] for row in questions] == [f"line-{n}" for n in range(1, 9)]
        assert {row["subject"] for row in questions} == {"physics"}
        pairs = read_dicts(out(work, f"reward/{variant}.jsonl"))
        assert [row["id"] for row in pairs] == [f"line-{n}" for n in (1, 2, 3, 5, 6)]


def test_the_course_reads_its_own_files(work: Work) -> None:
    metrics = read_json(out(work, "mcqa/metrics.json"))
    questions = read_dicts(out(work, "mcqa/merged.jsonl"))
    assert metrics["policy_acc"] == sum(row["right"] for row in questions) / 8
    assert set(metrics) == {
        "team_name",
        "task_type",
        "policy_acc",
        "orig_model_size",
        "quantized_model_size",
        "quantized",
        "quantized_policy_acc",
    }
    reward = read_json(out(work, "reward/metrics.json"))
    right = sum(row["right"] for row in read_dicts(out(work, "reward/merged.jsonl")))
    assert reward["policy_reward_accuracy"] == right / 6  # the pair of equal answers is wrong
    config = yaml.safe_load(out(work, "reward/main_config.yaml").read_text())
    assert config["eval_method"] == ["reward"]
    assert Path(config["policy_model_path"], "config.json").is_file()
    assert Path(config["reference_model_path"], "config.json").is_file()
    assert Path(config["test_data_path"]).name == "p.jsonl"


def test_the_record_has_every_figure_with_its_n(work: Work) -> None:
    record = read_json(out(work, "scores.json"))
    found = {(one["variant"], one["task"], one["metric"]): one for one in record["scores"]}
    assert found["merged", "mcq", "accuracy"]["n"] == 8
    assert found["merged", "preference", "policy_reward_accuracy"]["n"] == 6
    assert found["merged", "preference", "reward_accuracy"]["n"] == 5
    assert [file["rows"] for file in record["files"]] == [8, 6]
    facts = record["facts"]["preference"]["merged"]
    assert facts["pairs that share their prompt"] == 4


def test_equal_lines_are_measured_once_and_a_second_grading_measures_nothing(work: Work) -> None:
    said: list[str] = []
    folder = work.run.root.parent.parent
    again = Work(work.recipe, work.run, "eval", said.append)
    write_jsonl(folder / "twice.jsonl", [*QUESTIONS, *QUESTIONS])
    grade(again, [folder / "twice.jsonl"], folder / "again")
    assert said[1:] == [
        f"course: {name} was measured before, kept" for name in ("merged", "gguf-F16")
    ]
    rows = read_dicts(folder / "again/mcqa/merged.jsonl")
    assert [row["log_probs"] for row in rows[:8]] == [row["log_probs"] for row in rows[8:]]
    assert len(rows) == 16


def test_weights_that_were_changed_are_refused(work: Work) -> None:
    weights = work.input("export", "gguf-F16")
    kept = weights.read_bytes()
    row = McqRow(id="1", source="s", question="New?", choices=["p", "q"], answer="A")
    try:
        weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        with pytest.raises(UserError, match="other content of the same size"):
            measure(work, "gguf-F16", {"mcq": (OPTIONS["mcq"], [row])})
    finally:
        weights.write_bytes(kept)


def test_scores_that_are_no_numbers_stop_it_and_are_not_kept(tmp_path: Path) -> None:
    broken = make_work(tmp_path / "runs", make_recipe(["merged"], TASKS))
    folder = broken.input("export", "merged")
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"][0] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    outputs = {name: one.path for name, one in broken.run.manifest("export").outputs.items()}
    write_manifest(broken.run, "export", outputs)
    row = McqRow(id="line-1", source="s", question="Which?", choices=["p", "q"], answer="A")
    with pytest.raises(StageFailed, match="not finite"):
        measure(broken, "merged", {"mcq": (OPTIONS["mcq"], [row])})
    assert list((tmp_path / "runs").rglob("measured/*/*.jsonl")) == []


def test_results_are_json_that_others_can_read(work: Work) -> None:
    for path in out(work, "").rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
