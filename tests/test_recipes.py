"""Every recipe in recipes/ is read by a test, and the generated schema is current and agrees with
them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from stemma import ROOT
from stemma.cli import main
from stemma.recipe.axolotl_keys import OWNED, axolotl_fields
from stemma.recipe.check import warnings
from stemma.recipe.load import load
from stemma.recipe.schema import SCHEMA
from stemma.runs import Run
from stemma.training.axolotl import Paths, render

RECIPES = sorted((ROOT / "recipes").rglob("*.yml"))
HEADER = "# yaml-language-server: $schema=schema.json\n"


def test_there_are_recipes() -> None:
    assert {"tiny", "tiny-base-dpo", "course", "course-tiny"} <= {path.stem for path in RECIPES}
    assert {path.parent for path in RECIPES} == {ROOT / "recipes"}, (
        "recipes lie in one folder, so that names find them"
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_is_valid_and_says_what_it_is_for(path: Path) -> None:
    recipe = load(path)
    assert warnings(recipe) == []
    text = path.read_text(encoding="utf-8")
    assert text.startswith(HEADER + "# "), "the schema's line, then what the recipe is for"
    assert [line for line in text.splitlines() if len(line) > 100] == []


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_rendered_files_hold_only_keys_that_axolotl_knows(path: Path) -> None:
    recipe = load(path)
    for stage in [*(["base"] if recipe.base else []), *recipe.training_stages()]:
        rendered = render(
            recipe, stage, Paths.planned(Run(Path("runs") / recipe.name), recipe, stage)
        )
        assert {key for key in rendered if not key.startswith("stemma_")} <= set(axolotl_fields())
        assert {"base_model", "datasets", "output_dir", "seed"} <= set(rendered) & set(OWNED)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_agrees_with_the_schema(path: Path) -> None:
    jsonschema.validate(
        YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")), schema()
    )


def test_retrieval_of_smollm2_takes_over_what_its_course_has_trained() -> None:
    course, rag = (load(ROOT / f"recipes/smollm2-{name}.yml") for name in ("course", "rag"))
    for stage in ("data", *course.training_stages()):
        assert rag.section(stage) == course.section(stage)


def test_schema_finds_what_an_editor_should_underline() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    wrong = {
        "name": "x",
        "dop": {},
        "dpo": {
            "start_from": "sfr",
            "lerning_rate": 1,
            "learning_rate": "fast",
            "output_dir": "out",
        },
        "data": {"sft": {"sources": [{"source": "no_such_source"}]}},
    }
    found = [
        error.json_path for error in jsonschema.Draft202012Validator(schema()).iter_errors(wrong)
    ]
    assert sorted(found) == ["$", "$.data.sft", "$.dpo"]


def schema() -> Any:
    return json.loads(SCHEMA.read_text(encoding="utf-8"))


def test_check_passes_every_recipe_on_a_fresh_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the verb itself: where no base model lies, neither in a folder nor in the hub's cache."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
