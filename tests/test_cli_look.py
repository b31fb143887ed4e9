"""Verbs that look at recipes and runs: `diff`, `status`, `verify`, and where recipes are found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.cli import main
from stemma.recipe.models import Recipe

Write = Callable[..., Path]
Say = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def small(recipe: Recipe) -> None:
    """The small recipe and its files, for every test here."""


def changed(said: str) -> list[str]:
    return [line for line in said.splitlines() if line[0] in "+-"]


OTHER = [
    *("--- small", "+++ other"),
    *("-# --- recipe small", "-name: small", "+# --- recipe other", "+name: other"),
    *("-  beta: 0.1", "+  beta: 0.2"),
]


@pytest.mark.parametrize("new", [["other"], ["--with", "other"]])
def test_diff_shows_the_other_recipe_as_the_new_one(
    new: list[str], write_recipe: Write, capsys: Say
) -> None:
    write_recipe(name="other", text="extends: small\nname: other\neval: {beta: 0.2}\n")
    # As `make diff DATA=…` hands it on: a setting of both is no difference.
    assert main(["diff", "small", *new, "--set", "data.root=elsewhere"]) == 0
    assert changed(capsys.readouterr().out) == OTHER


def test_diff_shows_what_a_setting_changes(capsys: Say) -> None:
    assert main(["diff", "small", "--set", "eval.beta=0.2"]) == 0
    said = changed(capsys.readouterr().out)
    assert said == ["--- small", "+++ small with eval.beta=0.2", "-  beta: 0.1", "+  beta: 0.2"]


def test_diff_with_nothing_or_with_two_is_the_users(capsys: Say) -> None:
    assert main(["diff", "small"]) == 2
    assert capsys.readouterr().err == (
        "diff: nothing to compare `small` with\n"
        "  expected: another recipe or a setting: `stemma diff small OTHER`\n"
        "  hint: `make diff RECIPE=small WITH=OTHER`\n"
    )
    assert main(["diff", "small", "a", "--with", "b"]) == 2
    assert "--with: `b` beside `a`" in capsys.readouterr().err


def test_verify_without_a_run_is_an_error(capsys: Say) -> None:
    assert main(["verify", "small"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "runs/small: no finished stage: there is nothing to verify\n"
        "  expected: a run\n"
        "  hint: `make all RECIPE=small` makes one; RUNS=FOLDER where it lies elsewhere\n"
    )


def test_one_did_you_mean(capsys: Say) -> None:
    assert main(["chekc"]) == 2
    assert capsys.readouterr().err.count("Did you mean 'check'?") == 1


@pytest.mark.parametrize("given", ["small", "small.yml", "recipes/small.yml"])
def test_recipe_and_run_are_the_same_from_everywhere(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    assert main(["verify", given]) == 2
    assert capsys.readouterr().err.startswith(f"{tmp_path}/runs/small: no finished stage")
    assert main(["verify", given, "--runs", "mine"]) == 2
    assert capsys.readouterr().err.startswith("mine/small: no finished stage")


def test_a_recipe_elsewhere_needs_no_copies_of_what_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    text = (tmp_path / "recipes/small.yml").read_text()
    (away / "mine.yml").write_text(text.replace("name: small", "name: mine"))
    assert main(["check", str(away / "mine.yml")]) == 0
    assert main(["show", str(away / "mine.yml")]) == 0
    said = capsys.readouterr().out.split()
    assert said[said.index("chat_template:") + 1] == f"{tmp_path}/recipes/templates/qa.jinja"
    shutil.copytree(tmp_path / "recipes/templates", away / "templates")
    monkeypatch.chdir(away)
    assert main(["show", "mine.yml"]) == 0  # its own goes first
    assert "chat_template: templates/qa.jinja\n" in capsys.readouterr().out


def test_the_nearest_name_is_told_for_a_file_too(capsys: Say) -> None:
    assert main(["status", "smal.yml"]) == 2
    assert capsys.readouterr().err == (
        "smal.yml: unknown recipe `smal.yml`\n"
        "  expected: one of: small\n"
        "  hint: did you mean `small`?\n"
    )


def test_a_folder_that_is_gone_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Say
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["status", "small"]) == 2
    assert capsys.readouterr().err == (
        ".: the folder this is called from is gone\n  hint: go to one that is there: `cd`\n"
    )
