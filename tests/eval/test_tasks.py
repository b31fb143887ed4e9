"""The registry of tasks: the folder and the recipe's names agree."""

from __future__ import annotations

from typing import get_args

import pytest

from eval.tasks import TASKS
from stemma.recipe.data import DataSection
from stemma.recipe.eval_tasks import TASK_OPTIONS, EvalTask, McqTask


def test_every_module_is_a_task_that_a_recipe_can_name() -> None:
    assert sorted(TASKS) == sorted(TASK_OPTIONS)
    assert set(get_args(get_args(EvalTask)[0])) == set(TASK_OPTIONS.values())
    named = {
        name: options.model_fields["task"].annotation for name, options in TASK_OPTIONS.items()
    }
    assert {name: get_args(literal) for name, literal in named.items()} == {
        name: (name,) for name in TASKS
    }


def test_rows_come_from_data_sets_that_recipes_have() -> None:
    found = {task.rows.data_set for task in TASKS.values() if task.rows}
    assert found
    assert found <= set(DataSection.model_fields)


def test_orders_of_choices_need_a_seed() -> None:
    with pytest.raises(ValueError, match="permutations: give `permute` too"):
        McqTask(task="mcq", permutations=3)
    assert McqTask(task="mcq", permute=0, permutations=3).permutations == 3
