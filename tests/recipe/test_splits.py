"""Splits that stay empty whatever the files hold: refused by `check`, before anything trains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.recipe.load import load
from stemma.recipe.splits import unscored

Write = Callable[..., Path]
PAIRS = "    - {source: preference_jsonl, path: pairs.jsonl}\n"


def refused(*overrides: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load("small", overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_task_without_a_test_row(write_recipe: Write) -> None:
    write_recipe(("data:\n", "data:\n  parts: {test: 0}\n"))
    assert refused() == [
        "recipes/small.yml:29: task `preference` will have no row to score: in `data.dpo` "
        "`parts.test` is 0, and no source has `use: test`\n"
        "  expected: at least one test row\n"
        "  hint: set `data.dpo.parts.test: 0.1`, or give a source of it `use: test`"
    ]
    assert load("small", ["data.frozen_test=ids.txt"]), "frozen questions lie in test"
    tested = PAIRS + "    - {source: preference_jsonl, path: held.jsonl, use: test}\n"
    write_recipe((PAIRS, tested), ("data:\n", "data:\n  parts: {test: 0}\n"))
    assert load("small")


def test_sources_that_all_train(write_recipe: Write) -> None:
    write_recipe((PAIRS, PAIRS.replace("}", ", use: train}")))
    assert refused()[0].startswith(
        "recipes/small.yml:28: task `preference` will have no row to score: no source of "
        "`data.dpo` has `use: test`\n"
    )


def test_a_stage_without_a_training_row(write_recipe: Write) -> None:
    write_recipe()
    [told] = refused("data.dpo.parts={validation: 0.4, test: 0.6}")
    assert told.startswith(
        "recipes/small.yml:12: stage `dpo` will have no row to train on: in `data.dpo` `parts` "
        "leave nothing, and no source has `use: train`\n"
    )
    [told] = refused('data.sft.sources=[{"source": "gsm8k", "path": "a", "use": "test"}]')
    assert told.startswith("recipes/small.yml:11: stage `sft` will have no row to train on: no ")


def test_what_goes_by_validation_rows(write_recipe: Write) -> None:
    write_recipe()
    sweep = 'sweep={"stage": "dpo", "values": {"learning_rate": [1e-4, 1e-5]}}'
    none = "data.dpo.parts.validation=0"
    assert load("small", [sweep])
    assert "`sweep` will have no `eval_loss` to go by: in `data.dpo` `p" in refused(none, sweep)[0]
    patience = "sft.early_stopping_patience=3"
    [told] = refused("data.sft.parts.validation=0", patience)
    assert told.startswith("--set sft.early_stopping_patience=3: `early_stopping_patience` will ")
    assert load("small", [none]), "a training needs none"


def test_finished_data_without_a_row_to_score(write_recipe: Write) -> None:
    write_recipe()
    recipe = load("small")
    assert list(unscored(recipe, {"dpo": {"train": 9, "test": 1}})) == []
    [problem] = unscored(recipe, {"sft": {"test": 4}, "dpo": {"train": 9}})
    assert str(problem) == (
        "data.dpo: task `preference` has no row: none of the rows of `data.dpo` came into test\n"
        "  expected: at least one test row\n"
        "  hint: more rows, a larger `data.dpo.parts.test`, or a source with `use: test`"
    )
