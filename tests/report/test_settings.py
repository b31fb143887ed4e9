from __future__ import annotations

from pathlib import Path

from report.run import gather
from report.settings import settings
from stemma.jsonl import write_jsonl
from stemma.runs import describe
from tests.factories.manifests import change_manifest
from tests.factories.run_to_report import LORA, make_recipe, make_work

TRAINED = {
    "trainable": {"trainable_parameters": 2048, "parameters": 100_000, "share": 0.02048},
    "steps": 87,
    "processes": 2,
    "rows_a_step": 32,
    "computed_in": "bfloat16",
    "trainer": {},
    "plugins": [],
    "peak_memory": {"bytes": 1, "of": "resident memory"},
}


def test_what_the_recipe_says_stands_above_what_was_used(tmp_path: Path) -> None:
    keys = {"learning_rate": 5e-6, "num_epochs": 3, "micro_batch_size": 16, "bf16": "auto"}
    recipe = make_recipe(dpo={"start_from": "sft", "rl": "dpo", **keys})
    work = make_work(tmp_path, recipe)
    log = [
        {"loss": 0.7, "learning_rate": 4.9e-6, "epoch": 0.1, "step": 5},
        {"loss": 0.6, "learning_rate": 1e-7, "epoch": 2.9, "step": 87},
        {"train_runtime": 9.0, "epoch": 2.97, "step": 87},
    ]
    write_jsonl(work.run.folder("dpo") / "history.jsonl", log)
    outputs = work.run.manifest("dpo").outputs
    again = describe(work.run.folder("dpo"), "history.jsonl")
    facts = LORA | TRAINED
    change_manifest(work.run, "dpo", facts=facts, outputs=outputs | {"history": again})
    table = settings(gather(work))
    assert table.heads == ("Setting", "Key", "", "base", "sft", "dpo", "mcq")
    dpo = {(row[0], row[2]): row[5] for row in table.rows}
    assert dpo["starts from", "recipe"] == "sft"
    assert dpo["learning rate", "recipe"] == "5e-06"
    assert dpo["highest learning rate logged", "used"] == "4.9e-6"
    assert (dpo["epochs", "recipe"], dpo["epochs trained", "used"]) == ("3", "2.97")
    assert dpo["batch of a process, in rows", "recipe"] == "16"
    assert dpo["rows of a step, on processes", "used"] == "32 on 2"
    assert dpo["weights trained", "used"] == "2,048 of 100,000 (2.05%)"
    assert (dpo["bfloat16", "recipe"], dpo["computed in", "used"]) == ("auto", "bfloat16")
    assert dpo["rows left out as too long", "used"] == "2"
    assert dpo["optimizer steps", "used"] == "87"
    # Used stands right below what it came of.
    names = [row[0] for row in table.rows]
    assert names[names.index("learning rate") + 1] == "highest learning rate logged"


def test_every_key_of_the_recipe_is_told_by_its_own_name_where_it_has_no_other(
    tmp_path: Path,
) -> None:
    recipe = make_recipe(sft={"start_from": "base", "weight_decay": 0.05})
    rows = {row[0]: row for row in settings(gather(make_work(tmp_path, recipe))).rows}
    assert list(rows["weight_decay"][:5]) == [
        "weight_decay",
        "weight_decay",
        "recipe",
        None,
        "0.05",
    ]
