"""Task files of lm-evaluation-harness, read without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stemma.errors import UserError
from stemma.recipe import task_files


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_task_has_the_keys_of_what_it_includes_and_its_own_before_them(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", "test_split: test\noutput_type: multiple_choice\n")
    path = write(
        tmp_path,
        "own.yaml",
        "include: base.yaml\ntask: own\ntest_split: dev\nprocess_docs: !function rows.clean\n",
    )
    found = task_files.read(path)
    assert found.values == {
        "task": "own",
        "test_split": "dev",
        "output_type": "multiple_choice",
        "process_docs": task_files.Function("rows.clean"),
    }
    assert [one.name for one in found.files] == ["base.yaml", "own.yaml", "rows.py"]
    assert found.where("test_split").endswith("own.yaml:3")
    assert found.where("output_type").endswith("base.yaml:2")


def test_the_first_of_several_included_files_has_the_last_word_as_in_the_harness(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a.yaml", "test_split: a\n")
    write(tmp_path, "b.yaml", "test_split: b\nfewshot_split: b\n")
    own = write(tmp_path, "own.yaml", "include: [a.yaml, b.yaml]\ntask: own\n")
    assert task_files.read(own).values == {"task": "own", "test_split": "a", "fewshot_split": "b"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("task: [unclosed\n", r"own\.yaml:\d: not valid YAML"),
        ("- a\n- b\n", r"own\.yaml: no mapping of keys"),
        ("include: nowhere.yaml\n", r"own\.yaml:1: `include: nowhere\.yaml`: no such file"),
        ("include: own.yaml\n", r"own\.yaml: it includes itself"),
        ("task: own\ntask: twice\n", r"own\.yaml:2: not valid YAML: found duplicate key"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    with pytest.raises(UserError) as caught:
        task_files.read(write(tmp_path, "own.yaml", text))
    assert re.search(told, str(caught.value)), str(caught.value)


def test_names_are_found_in_every_form_the_harness_writes_them(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", 'tag:\n  - one\n  - "two"\ntask: a\n')
    write(tmp_path, "b.yaml", '"task": "b"\n"tag": "one"\n')
    write(tmp_path, "c.yaml", "tag: [two]\ntask: c # the third\n")
    write(tmp_path, "g.yaml", "group: g\ntask:\n  - a\n  - task: b\n    num_fewshot: 2\n")
    write(tmp_path, "_part.yaml", "test_split: test\n")
    write(tmp_path, "ignored.yml", "task: nothing\n")
    found = task_files.index(tmp_path)
    assert {name: path.name for name, path in found.tasks.items()} == {
        "a": "a.yaml",
        "b": "b.yaml",
        "c": "c.yaml",
        "g": "g.yaml",
    }
    assert found.tags == {"one": ["a", "b"], "two": ["a", "c"]}


def test_a_folder_that_is_not_there_defines_nothing(tmp_path: Path) -> None:
    assert task_files.index(tmp_path / "nowhere").names == []


def test_keys_and_metrics_are_those_of_the_installed_harness() -> None:
    pytest.importorskip("lm_eval")
    assert {"doc_to_text", "fewshot_config", "unsafe_code"} <= set(task_files.task_keys())
    assert task_files.group_keys() == [
        "group",
        "group_alias",
        "task",
        "aggregate_metric_list",
        "metadata",
    ]
    assert {"acc", "acc_norm", "exact_match", "word_perplexity"} <= set(task_files.metric_names())


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["mmlu", "arc", "gsm8k", "leaderboard", "blimp", "super_glue"])
def test_names_are_those_the_harness_itself_finds(folder: str) -> None:
    pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    place = task_files.installed()
    assert place is not None
    path = place / "tasks" / folder
    theirs = TaskManager(include_path=[str(path)], include_defaults=False)
    mine = task_files.index(path)
    assert mine.names == sorted(theirs.all_tasks)
    assert sorted(mine.tags) == theirs.all_tags


@pytest.mark.slow
def test_keys_and_metrics_are_those_the_harness_itself_knows() -> None:
    pytest.importorskip("lm_eval")
    import dataclasses

    import lm_eval.api.metrics  # noqa: F401
    from lm_eval.api.registry import METRIC_REGISTRY
    from lm_eval.config.task import TaskConfig

    assert task_files.task_keys() == [field.name for field in dataclasses.fields(TaskConfig)]
    assert set(task_files.metric_names()) == set(METRIC_REGISTRY.keys())
