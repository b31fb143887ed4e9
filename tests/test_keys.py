"""Keys hold no place: what was done stays done when run, data, base model and checkout are moved,
and only then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stemma import ROOT
from stemma.errors import UserError
from stemma.identity import model_digest
from stemma.keys import key_of
from stemma.recipe.load import load
from stemma.recipe.models import Recipe
from stemma.runs import MANIFEST, Run
from tests.conftest import SMALL
from tests.factories.manifests import put_manifest
from tests.factories.recipes import MADE

PROJECT = ("stemma", "data_builders", "export", "rag", "eval", "report", "serve", "recipes")
RECIPE = SMALL.replace(MADE, "base_model: ../model\n").replace(
    "  corpus: {sources: [{source: from_sets}]}\n", ""
)
QUESTIONS = [
    {"question": f"What is {n} + {n * n}?", "answer": f"#### {n + n * n}"} for n in range(20)
]
PAIRS = [{"prompt": row["question"], "chosen": "It is so.", "rejected": "No."} for row in QUESTIONS]


def put_model(folder: Path) -> Path:
    folder.mkdir()
    for name, text in (
        ("config.json", "{}"),
        ("tokenizer.json", "{}"),
        ("model.safetensors", "weights"),
    ):
        (folder / name).write_text(text)
    return folder


def put_data(folder: Path) -> Path:
    folder.mkdir()
    for name, rows in (("train.jsonl", QUESTIONS), ("pairs.jsonl", PAIRS)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def put_recipes(folder: Path, text: str = RECIPE) -> Path:
    for name in ("templates", "deepspeed"):
        shutil.copytree(ROOT / "recipes" / name, folder / name)
    (folder / "small.yml").write_text(text)
    return folder / "small.yml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recipe, data and model in one folder, which is the current one."""
    home = tmp_path / "home"
    put_recipes(home / "recipes")
    put_model(home / "model")
    put_data(home / "data")
    monkeypatch.chdir(home)
    return home


def opened(home: Path, *settings: str) -> tuple[Recipe, Run]:
    """Relative to the current folder or absolute, as `home` is."""
    given = [f"base_model={home / 'model'}", f"data.root={home / 'data'}", *settings]
    return load(home / "recipes" / "small.yml", given), Run(home / "runs" / "small")


def keys(home: Path, *settings: str) -> dict[str, str]:
    """Of the stages that nothing has to be done before."""
    recipe, run = opened(home, *settings)
    (run.root / "data").mkdir(parents=True, exist_ok=True)
    return {
        "data": key_of(recipe, run, "data"),
        "sft": key_of(recipe, put_data_manifest(run), "sft"),
    }


def put_data_manifest(run: Run) -> Run:
    put_manifest(run, "data", [])
    return run


def test_relative_absolute_and_moved_are_the_same_work(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(Path())
    assert keys(home) == before
    moved = home.rename(home.with_name("elsewhere"))
    assert keys(moved) == before
    monkeypatch.chdir("/")
    assert keys(moved.relative_to("/")) == before


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("data/train.jsonl", {"data"}),
        ("data/pairs.jsonl", {"data"}),
        ("recipes/templates/qa.jinja", {"sft"}),
        ("recipes/deepspeed/zero1.json", {"sft"}),
        ("model/model.safetensors", {"sft"}),
        ("model/config.json", {"sft"}),
        ("model/tokenizer.json", {"data", "sft"}),
    ],
)
def test_a_byte_more_is_other_work(home: Path, file: str, stale: set[str]) -> None:
    before = keys(home)
    path = home / file
    path.write_bytes(path.read_bytes() + b"\n")
    after = keys(home)
    assert {stage for stage in before if before[stage] != after[stage]} == stale


def test_no_key_and_no_input_tells_a_place(home: Path) -> None:
    paths = [
        f"data.sft.sources=[{{source: gsm8k, path: {home}/data/train.jsonl}}]",
        f"data.frozen_test={home}/data/train.jsonl",
        f"train.deepspeed={home}/recipes/deepspeed/zero1.json",
    ]
    recipe, _ = opened(home, *paths)
    told = json.dumps(
        [recipe.section(stage) for stage in ("data", "sft", "dpo", "export", "eval", "report")]
    )
    told += json.dumps([*recipe.files("data"), *recipe.files("sft")])
    assert str(home) not in told
    assert "train.jsonl" in told
    assert "zero1.json" in told
    before = keys(home, *paths)
    moved = home.rename(home.with_name("elsewhere"))
    assert keys(moved, *(path.replace(str(home), str(moved)) for path in paths)) == before


def test_files_of_equal_content_are_told_apart_by_the_recipe(home: Path) -> None:
    """Swapped, they train another set: whole paths are told by the source that reads them, others
    by their name."""
    shutil.copyfile(home / "data/train.jsonl", home / "data/copy.jsonl")
    one, other = (
        f"data.sft.sources=[{{source: gsm8k, path: {name}.jsonl}}]" for name in ("train", "copy")
    )
    assert keys(home, one)["data"] != keys(home, other)["data"]
    (home / "a").mkdir()
    (home / "b").mkdir()
    for folder, text in (("a", QUESTIONS[:10]), ("b", QUESTIONS[10:])):
        (home / folder / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in text))
    sources = [f"{{source: gsm8k, path: {home}/{name}/x.jsonl}}" for name in ("a", "b")]
    found = [
        keys(home, f"data.sft.sources=[{', '.join(order)}]")["data"]
        for order in (sources, sources[::-1])
    ]
    assert found[0] != found[1]


def test_a_base_model_that_went_away_is_one_clear_error(home: Path) -> None:
    recipe, run = opened(home)
    shutil.rmtree(home / "model")
    (run.root / "data").mkdir(parents=True)
    with pytest.raises(UserError, match=r"small\.yml: base_model `/.*/model`: no such folder"):
        key_of(recipe, put_data_manifest(run), "sft")


def test_a_hub_model_is_told_by_name_and_revision(home: Path) -> None:
    recipe, run = opened(home, "base_model=google/gemma-2b", "base_revision=abc")
    assert recipe.section("sft")["base_model"] == "google/gemma-2b"
    assert keys(home, "base_model=google/gemma-2b", "base_revision=abc") != keys(
        home, "base_model=google/gemma-2b"
    )
    assert (recipe.base_name, run.root.name) == ("google/gemma-2b", "small")


def test_a_model_is_told_by_content_and_names(tmp_path: Path) -> None:
    model, runs = put_model(tmp_path / "model"), tmp_path / "runs"
    first = model_digest(model, runs)
    assert not runs.exists(), "looking makes no folder"
    runs.mkdir()
    (model / "README.md").write_text("of no consequence")
    assert model_digest(model, runs) == first
    (model / "model.safetensors").write_text("other weights")
    other = model_digest(model, runs)
    assert other != first
    (model / "model.safetensors").rename(model / "renamed.safetensors")
    assert model_digest(model, runs) not in (first, other)


CHAIN = """\
import sys
from pathlib import Path
from types import SimpleNamespace
from stemma import stages
from stemma.chain import chain
from stemma.recipe.load import load
from stemma.runs import Run

def write(work):
    (work.folder / "out.txt").write_text(work.stage)
    return stages.Result({"out": "out.txt"})

made = SimpleNamespace(run=write)
stages.MODULES |= {stage: lambda: made for stage in stages.MODULES if stage != "data"}
recipe, run = load(sys.argv[1], sys.argv[3:]), Run(Path(sys.argv[2]))
print({stages.execute(recipe, run, stage, print) for stage in chain(recipe)})
"""
"""The real data stage, and a small file in place of what the others make."""


def in_project(home: Path, *arguments: str) -> str:
    """What a Python process of the project's copy in `home` prints."""
    variables = os.environ | {"PYTHONPATH": str(home / "project"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=home / "project",
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def settings(home: Path) -> list[str]:
    return [f"base_model={home / 'model'}", f"data.root={home / 'files'}"]


def states(home: Path, given: list[str]) -> set[str]:
    sets = [part for setting in given for part in ("--set", setting)]
    said = in_project(home, "-m", "stemma", "status", "small", "--runs", str(home / "runs"), *sets)
    return {line.split(maxsplit=1)[1] for line in said.splitlines()}


def test_a_checkout_its_runs_and_data_are_moved(tmp_path: Path) -> None:
    home = tmp_path / "one"
    for name in PROJECT:
        shutil.copytree(
            ROOT / name, home / "project" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    text = RECIPE.replace(
        "{source: gsm8k, path: train.jsonl}",
        "{source: gsm8k, path: train.jsonl}\n    - " + "{source: stem_exercises, limit: 5}",
    )
    (home / "project/recipes/small.yml").write_text(text)
    put_model(home / "model")
    put_data(home / "files")
    said = in_project(home, "-c", CHAIN, "small", str(home / "runs" / "small"), *settings(home))
    assert said.splitlines()[-1] == "{'done'}"
    assert states(home, settings(home)) == {"up to date"}

    moved = tmp_path / "another" / "user"
    moved.parent.mkdir()
    home.rename(moved)
    (moved / "files").rename(moved / "project/data")
    shutil.copytree(moved / "runs", tmp_path / "disk")
    shutil.rmtree(moved / "runs")
    (moved / "runs").symlink_to(tmp_path / "disk")
    given = ["base_model=../model", "data.root=data"]
    assert states(moved, given) == {"up to date"}
    assert str(tmp_path) not in json.dumps(
        [
            json.loads(path.read_text())[part]
            for part in ("inputs", "section")
            for path in (tmp_path / "disk").glob(f"*/*/{MANIFEST}")
        ]
    )
    with (moved / "project/recipes/templates/qa.jinja").open("a") as stream:
        stream.write("\n")
    assert states(moved, given) >= {"up to date", "stale: the chat template changed"}


def test_where_a_model_came_from_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = model_digest(tmp_path, tmp_path / "runs")
    (tmp_path / "provenance.json").write_text('{"date": "2026-11-28"}')
    assert model_digest(tmp_path, tmp_path / "runs") == first
