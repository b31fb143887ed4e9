"""stemma.results: what came out of a stage in one line, and what to do after the whole chain."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from stemma.jsonl import write_json, write_jsonl
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.results import closing_lines, result_line
from stemma.runs import Run
from tests.conftest import Write
from tests.factories.manifests import change_manifest, write_manifest

HISTORY = [
    {"eval_loss": 0.693, "eval_rewards/accuracies": 0.04, "step": 0},
    {"loss": 0.6931, "step": 1},
    {"loss": 0.6, "step": 5},
    {"loss": 0.5921, "step": 260},
    {"eval_loss": 0.5973, "eval_rewards/accuracies": 0.8349, "step": 260},
    {"train_runtime": 139.0, "step": 260},
]


@pytest.fixture
def recipe(write_recipe: Write) -> Recipe:
    return load(str(write_recipe()))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "runs" / "small")


def finish(run: Run, stage: str, files: dict[str, str], **fields: Any) -> None:
    for path in files.values():
        if not (run.folder(stage) / path).exists():
            (run.folder(stage) / path).parent.mkdir(parents=True, exist_ok=True)
            (run.folder(stage) / path).write_text("x")
    write_manifest(run, stage, files, **fields)


def test_data_tells_rows_kept_and_dropped_per_set(recipe: Recipe, run: Run) -> None:
    counts = {
        "sources": {
            "sft: a": {"read": 1300, "kept": 1200, "dropped": {"duplicate": 60, "empty": 40}},
            "sft: b": {"read": 10, "kept": 9, "dropped": {"empty": 1}},
            "mcq: a": {"read": 7, "kept": 7, "dropped": {}},
        },
        "sets": {
            "sft": {"train": 1100, "validation": 50, "test": 59},
            "mcq": {"train": 7, "validation": 0, "test": 0},
        },
    }
    finish(run, "data", {}, counts=counts)
    assert result_line(recipe, run, "data") == (
        "sft 1,100 train + 50 validation + 59 test (101 dropped), mcq 7 train; "
        f"{run.folder('data')}"
    )


def test_a_training_tells_its_losses_and_where_the_model_lies(recipe: Recipe, run: Run) -> None:
    run.folder("dpo").mkdir(parents=True)
    write_jsonl(run.folder("dpo") / "history.jsonl", HISTORY)
    outputs = {"history": "history.jsonl", "merged": "merged"}
    finish(run, "dpo", outputs, facts={"steps": 260})
    assert result_line(recipe, run, "dpo") == (
        "260 steps, loss 0.693 → 0.592, held-out loss 0.693 → 0.597, "
        f"better answer preferred 4 % → 83 %; {run.folder('dpo') / 'merged'}"
    )


def test_export_tells_files_and_sizes(recipe: Recipe, run: Run) -> None:
    finish(run, "export", {}, facts={"bytes": {"merged": 5_012_000_000, "gguf-F16": 1_352_608}})
    assert result_line(recipe, run, "export") == (
        f"merged 5.01 GB, gguf-F16 1.4 MB; {run.folder('export')}"
    )


def test_rag_tells_its_passages(recipe: Recipe, run: Run) -> None:
    finish(run, "rag", {"database": "database"}, counts={"passages": 1096, "bytes": 61_440})
    told = f"1,096 passages, 0.1 MB; {run.folder('rag') / 'database'}"
    assert result_line(recipe, run, "rag") == told


def test_eval_tells_each_task_of_the_base_and_of_what_ships(recipe: Recipe, run: Run) -> None:
    def score(variant: str, task: str, metric: str, value: float) -> dict[str, Any]:
        return {"variant": variant, "task": task, "metric": metric, "value": value, "n": 288}

    ship = recipe.export.ship
    scores = [
        score("base", "mcq", "accuracy", 0.25),
        score("merged", "mcq", "accuracy", 0.9),
        score(ship, "mcq", "accuracy", 0.694),
        score(ship, "mcq", "chance", 0.25),
        score(ship, "preference", "reward_accuracy", 0.78),
    ]
    run.folder("eval").mkdir(parents=True)
    write_json(run.folder("eval") / "results.json", scores)
    finish(run, "eval", {"results": "results.json"})
    assert result_line(recipe, run, "eval") == (
        f"multiple choice right: base 25 %, {ship} 69 % (n = 288); "
        f"better answer preferred: {ship} 78 % (n = 288); {run.folder('eval')}"
    )


def test_the_report_tells_its_page(recipe: Recipe, run: Run) -> None:
    finish(run, "report", {"html": "index.html"})
    assert result_line(recipe, run, "report") == str(run.folder("report") / "index.html")


def test_of_an_earlier_manifest_only_the_place_is_told(recipe: Recipe, run: Run) -> None:
    for stage in ("data", "sft", "export", "eval", "report"):
        finish(run, stage, {})
        assert result_line(recipe, run, stage) == str(run.folder(stage))


def test_the_chain_ends_with_page_file_and_commands(recipe: Recipe, run: Run) -> None:
    ship = recipe.export.ship
    finish(run, "report", {"html": "index.html"})
    finish(run, "export", {ship: "small.gguf"}, facts={"bytes": {ship: 1_352_608}})
    runs = run.root.parent
    assert closing_lines(recipe, run) == [
        f"page    {run.folder('report') / 'index.html'}",
        f"model   {run.folder('export') / 'small.gguf'} ({ship}, 1.4 MB)",
        f"next    make chat RECIPE=small RUNS={runs}    # ask it questions",
        f"        make verify RECIPE=small RUNS={runs}  # are all files as they were made?",
    ]


def test_the_commands_are_of_this_run(write_recipe: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = load(str(write_recipe()), ["seed=7", "data.root=my data", "dpo.num_epochs=2"])
    monkeypatch.chdir(changed.path.parent.parent)
    here = Run(Path("runs/small"))
    finish(here, "report", {})
    finish(
        here, "export", {changed.export.ship: "s.gguf"}, facts={"bytes": {changed.export.ship: 1}}
    )
    [_, chat, _] = closing_lines(changed, here)
    assert chat.split("  #")[0].rstrip() == (
        "next    make chat RECIPE=small DATA='my data' SET='seed=7 dpo.num_epochs=2'"
    )
    elsewhere = changed.path.parent.parent / "mine" / "small.yml"
    shutil.copytree(changed.path.parent, elsewhere.parent)
    [_, chat, _] = closing_lines(load(str(elsewhere), ["data.root='my data'"]), here)
    assert f"RECIPE={elsewhere} DATA='my data'  " in chat, "another recipe of the same name"
    change_manifest(here, "export", outputs={})
    assert closing_lines(changed, here) == [], "an earlier Stemma's, or none"
