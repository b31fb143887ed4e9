"""The places that a recipe names, called from the checkout and from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.recipe.load import load
from tests.factories.recipes import MADE

Write = Callable[..., Path]
CORPUS = ("  corpus: {sources: [{source: from_sets}]}\n", "")


def placed(*overrides: str) -> tuple[str | None, str]:
    recipe = load("small", overrides)
    return recipe.base_model, recipe.data.root


def test_data_and_model_of_a_recipe_start_at_the_checkout(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recipe((MADE, "base_model: models/mine\n"), CORPUS)
    for folder in ("models/mine", "away/models/other"):
        (tmp_path / folder).mkdir(parents=True)
    assert placed() == ("models/mine", ".")
    monkeypatch.chdir(tmp_path / "away")
    assert placed() == (f"{tmp_path}/models/mine", str(tmp_path))
    # What the command line names starts where it is given.
    assert placed("base_model=models/other", "data.root=files") == (
        f"{tmp_path}/away/models/other",
        "files",
    )


def test_a_name_on_the_hub_stays_one(
    write_recipe: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recipe((MADE, "base_model: google/gemma-2b\n"), CORPUS)
    monkeypatch.chdir(tmp_path / "recipes")
    assert placed()[0] == "google/gemma-2b"
