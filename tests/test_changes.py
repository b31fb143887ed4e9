"""What changed since a stage was done, in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stemma.changes import _both, changed_inputs, changed_settings, listed
from stemma.recipe.load import load
from stemma.recipe.models import Recipe

Write = Callable[..., Path]


def changes(stage: str, *overrides: str) -> list[str]:
    """What is told of a stage that was done before these settings."""
    return changed_settings(load("small", overrides), stage, load("small").section(stage))


def test_a_setting_is_told_with_both_values(recipe: Recipe) -> None:
    assert changes("sft", "sft.learning_rate=1e-4") == ["sft.learning_rate 2e-4 -> 1e-4"]
    assert changes("dpo", "sft.learning_rate=1e-4") == []
    assert changes("sft", "seed=7") == ["seed 42 -> 7"]
    assert changes("sft", "sft.num_epochs=2") == ["sft.num_epochs (not set) -> 2"]
    assert changes("dpo", "dpo.start_from=base") == ["dpo.start_from sft -> base"]
    assert changes("eval", "eval.beta=0.2") == ["eval.beta 0.1 -> 0.2"]


def test_a_setting_of_all_stages_is_told_where_it_stands(recipe: Recipe) -> None:
    assert changes("sft", "train.lora_r=4") == ["train.lora_r 8 -> 4"]
    assert changes("sft", "sft.lora_r=4") == ["sft.lora_r 8 -> 4"]


def test_lists_are_told_by_what_differs_in_them(recipe: Recipe) -> None:
    assert changes("data", "data.sft.sources.0.limit=5") == ["data.sft.sources[0].limit null -> 5"]
    assert changes("export", "export.gguf.types=[F16, Q8_0, Q4_K_M]") == [
        "export.gguf.types with Q8_0"
    ]
    assert changes("export", "export.gguf.types=[Q4_K_M, Q8_0, Q6_K]") == [
        "export.gguf.types without F16 and with Q8_0, Q6_K"
    ]
    more = "eval.tasks=[{task: preference}, {task: generation}]"
    assert changes("eval", more) == ["eval.tasks 1 entry -> 2 entries"]


def test_of_long_values_the_part_that_differs_is_told() -> None:
    lead = "a" * 70
    assert _both(f"{lead}old end", f"{lead}new end") == (
        f"…{'a' * 30}old end -> …{'a' * 30}new end"
    )
    assert _both("1", "a" * 61) == f"1 -> {'a' * 60}…"


def test_inputs_are_told_by_what_they_are_to_the_recipe() -> None:
    before = {
        "data.sft[0]: x.csv": "1",
        "data.dpo[1]: old.csv": "1",
        "chat_template": "1",
        "base_model": "1",
        "deepspeed": "1",
        "data/sft/train": "1",
        "data/sft/test": "1",
        "data/card": "1",
    }
    now = {**{name: "2" for name in before if "old" not in name}, "rag.sources[0]: n.md": "1"}
    assert changed_inputs(before, now) == [
        "the base model changed",
        "the chat template changed",
        "source file old.csv is no longer read",
        "source file x.csv changed",
        "what `data` made changed (card, sft/test, sft/train)",
        "deepspeed changed",
        "source file n.md is new",
    ]
    assert changed_inputs(before, before) == []


def test_a_source_that_moved_in_its_list_reads_the_same_file() -> None:
    before = {"data.sft[0]: x.csv": "1", "data.sft[1]: y.csv": "2", "dpo/merged": "3"}
    now = {"data.sft[0]: y.csv": "2", "data.sft[1]: x.csv": "1", "sft/merged": "4"}
    assert changed_inputs(before, now) == [
        "what `dpo` made is no longer read (merged)",
        "what `sft` made is new (merged)",
    ]


def test_of_many_changes_the_first_are_told() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
