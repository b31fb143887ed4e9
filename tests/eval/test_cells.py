"""Keys of cells: all that decides a sample is in them, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from eval.cells import decisive
from eval.job import Variant
from eval.tasks import TASKS
from stemma.recipe.eval_tasks import TASK_OPTIONS

VARIANT = Variant(
    name="gguf-Q8_0",
    kind="gguf",
    weights="runs/a/export/a.gguf",
    digest="0123",
    made_by="export",
    template="{{ messages }}",
    bos="<bos>",
    eos="<eos>",
    threads=2,
)


def key(task: str, options: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    asked = TASK_OPTIONS[task].model_validate({"task": task} | (options or {}))
    return decisive(VARIANT.model_copy(update=changes), asked)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_where_a_variant_lies_and_what_it_is_called_cost_nothing(task: str) -> None:
    assert key(task, name="merged", weights="/elsewhere", made_by=None) == key(task)
    assert key(task, {"limit": 3}) == key(task)


@pytest.mark.parametrize("task", sorted(TASKS))
@pytest.mark.parametrize("field", ["kind", "digest", "template", "bos", "eos"])
def test_what_the_model_reads_and_is_decides(task: str, field: str) -> None:
    other = "hf" if field == "kind" else "another"
    assert key(task, **{field: other}) != key(task)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_speeds_alone_hold_for_one_machine(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = key(task)
    assert (key(task, threads=3) == here) == (task != "speed")
    monkeypatch.setattr("platform.node", lambda: "another machine")
    assert (key(task) == here) == (task != "speed")


def test_only_options_that_a_task_measures_with_decide() -> None:
    assert key("generation", {"max_new_tokens": 7}) != key("generation")
    assert key("speed", {"prompt_tokens": 7}) != key("speed")
    for name, task in TASKS.items():
        assert set(task.reads) < set(TASK_OPTIONS[name].model_fields) - {"limit"}


def test_a_task_that_writes_down_other_fields_starts_anew() -> None:
    fields = {task: key(task)["fields"] for task in TASKS}
    assert {task: sorted(TASKS[task].sample.model_fields) for task in TASKS} == fields
    assert all("id" in names for names in fields.values())
