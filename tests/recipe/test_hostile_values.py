"""Shipped recipes with hostile values in place of their own: one error, or a sensible forecast."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stemma import ROOT
from stemma.base_model.folder import check_base_model
from stemma.cli import main
from stemma.errors import UserError
from stemma.plan.forecast import Hardware, plan
from stemma.plan.text import written
from stemma.recipe.axolotl_keys import axolotl_fields
from stemma.recipe.document import read
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import Run

RECIPES = ("tiny", "gemma2b-judged", "smollm2-rag")
SECTIONS = ("base", "train", "sft", "dpo", "mcq")
NUMBERS = [-1, 0, 1, 2, 0.5, 0.999, 1.5, -1.5, 1e-300, 1e300, 2**31, 2**63, 2**64]
TEXTS = ["", " ", "nope", "x" * 300, "\0", "\ud800", "\x1b[31m", "../x", "/", "~", "%s", "a\nb"]
OTHERS = [True, None, [], {}, ["nope"], [-1], [None], {"a": {"b": -1}}, {"a": None}]
RAW = (".nan", "-.inf", "1e400", "0x" + "f" * 5000, "!!binary aGk=", "2024-01-01", "&a [*a]")
"""Written as they are: no Python value is written so."""

VERBS = ("check", "show", "plan", "status", "diff", "all")

Keys = tuple[Any, ...]


def places(value: Any, keys: Keys = ()) -> Iterator[Keys]:
    """The place of everything in a recipe's values."""
    items = value.items() if isinstance(value, dict) else []
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield (*keys, key)
        yield from places(inner, (*keys, key))


def put(values: dict[str, Any], keys: Keys, value: Any) -> dict[str, Any]:
    """The values with another one at a place."""
    changed = copy.deepcopy(values)
    target: Any = changed
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    return changed


def forecast(recipe: Recipe) -> str:
    run = Run(Path("runs") / recipe.name)
    check_base_model(recipe, run, recipe.training_stages())
    machine = Hardware(gpus=1, tflops=100.0)
    return written(recipe, plan(recipe, run, machine), machine)


def judged(name: str) -> str:
    """What the recipe says to a user: its problems, or its forecast. Whatever else is raised is
    ours."""
    try:
        return forecast(load(name))
    except UserError as error:
        return str(error)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    return tmp_path / "recipes"


def hold_against(folder: Path, name: str, seed: int, count: int) -> None:
    """So many cases drawn by the seed: no traceback, nothing unprintable, no impossible figure."""
    drawn = random.Random(seed)
    values = read(folder / f"{name}.yml").values
    there = list(places(values))
    keys = list(axolotl_fields())
    for _ in range(count):
        place = drawn.choice(there)
        if drawn.random() < 0.3:
            section = drawn.choice([one for one in SECTIONS if one in values])
            place = (section, drawn.choice(keys))
        hostile = drawn.choice([*NUMBERS, *TEXTS, *OTHERS, *RAW])
        text = json.dumps(put(values | {"name": "hostile"}, place, hostile))
        if hostile in RAW:
            text = text.replace(json.dumps(hostile), str(hostile), 1)
        (folder / "hostile.yml").write_text(text, encoding="utf-8")
        said = judged("recipes/hostile.yml")
        case = f"{name} {place}: {str(hostile)[:40]}\n{said[-500:]}"
        assert said.replace("\n", "").isprintable(), case
        assert not re.search(r"(?<![\w.-])-\d|\bnan\b|\binf\b", forecast_part(said)), case


def forecast_part(said: str) -> str:
    """The forecast, without the first line, which quotes the recipe; nothing of an error."""
    return said.partition("\n\n")[2] if "FLOP" in said else ""


@pytest.mark.parametrize("name", RECIPES)
def test_a_hostile_value_is_one_error_or_a_sensible_forecast(folder: Path, name: str) -> None:
    hold_against(folder, name, seed=15, count=25)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("seed: 0x" + "f" * 5000, "`seed` is a number of 5,002 digits"),
        ('base_model: "\\0"', "`base_model` holds the character U+0000"),
        ("chat_template: " + "x" * 300, "a name in this path is longer than 255 bytes"),
        ("base: {model: " + "[" * 300 + "]" * 300 + "}", "more than 20 deep"),
        ("base: {model: !!binary aGk=}", "`base.model` is a YAML binary"),
        ('train: {wandb_project: "\\ud800"}', "`train.wandb_project` holds the character U+D800"),
    ],
    ids=["seed", "nul", "path", "deep", "binary", "surrogate"],
)
def test_every_verb_tells_one_error(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str, wrong: str, told: str
) -> None:
    (folder / "wrong.yml").write_text(f"extends: tiny\n{wrong}\n", encoding="utf-8")
    assert_refused([verb, "recipes/wrong.yml"], told, capsys)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_tells_a_wrong_override(
    folder: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert folder.is_dir()
    assert_refused([verb, "recipes/tiny.yml", "--set", "seed=-1"], "`seed` is -1", capsys)


@pytest.mark.parametrize("speed", ["nan", "inf", "-1", "0"])
def test_a_machine_has_a_speed(capsys: pytest.CaptureFixture[str], speed: str) -> None:
    assert main(["plan", "tiny", "--tflops", speed]) == 2
    assert "--tflops" in capsys.readouterr().err


def assert_refused(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    extra = ["--with", "recipes/tiny.yml"] if arguments[0] == "diff" else []
    assert main([*arguments, *extra]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert told in said
    assert "Traceback" not in said
    assert len(said) < 2000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", RECIPES)
def test_many_hostile_values(folder: Path, name: str, seed: int) -> None:
    hold_against(folder, name, seed, count=300)
