from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard, parse_eval_result_entries
from pydantic import ValidationError
from ruamel.yaml import YAML

from report.hub import card_files
from report.run import gather
from stemma.recipe.models import Recipe
from tests.factories.run_to_report import make_recipe, make_work, score

BENCHMARK = {"dataset": "owner/exam", "task_id": "stem", "revision": "abc123"}


def recipe(**options: object) -> Recipe:
    section = make_recipe().eval.model_dump(mode="json")
    task = {"task": "mcq"} | options
    return make_recipe(
        eval=section | {"tasks": [task, {"task": "speed"}], "hub_benchmarks": {"mcq": BENCHMARK}}
    )


def test_the_hubs_own_reader_finds_the_scores(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path))
    files = card_files(evidence)
    assert sorted(files) == sorted(f"hub/{name}/README.md" for name in evidence.recipe.exported())
    card = ModelCard(files["hub/gguf-Q4_K_M/README.md"])
    assert card.data.model_name == "toy-gguf-Q4_K_M"
    assert card.data.language == ["de"]
    found = {(one.task_name, one.metric_type): one.metric_value for one in card.data.eval_results}
    assert found[("mcq", "accuracy")] == 0.61
    assert found[("preference", "accuracy")] == 0.86
    assert not any(task == "speed" or "minus" in metric for task, metric in found)
    assert "/" not in card.data.eval_results[0].dataset_type
    assert "| mcq | accuracy | 0.610 | [0.550–0.670] | 240 |" in card.text


def test_a_benchmark_of_the_hub_has_a_file_of_its_own(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path, recipe()))
    text = card_files(evidence)["hub/gguf-Q4_K_M/.eval_results/mcq.yaml"]
    [entry] = parse_eval_result_entries(YAML(typ="safe").load(text))
    assert (entry.dataset_id, entry.task_id, entry.dataset_revision) == (
        "owner/exam",
        "stem",
        "abc123",
    )
    assert entry.value == 0.61
    assert entry.date == "2026-11-22T10:06:48+00:00"
    assert "n = 240, [0.550–0.670]" in (entry.notes or "")
    card = ModelCard(card_files(evidence)["hub/merged/README.md"])
    assert card.data.eval_results[0].dataset_type == "owner/exam"


def test_a_part_of_a_benchmark_is_not_the_benchmark(tmp_path: Path) -> None:
    evidence = gather(make_work(tmp_path, recipe(limit=100)))
    assert not any(".eval_results" in path for path in card_files(evidence))


def test_naming_a_benchmark_measures_nothing_anew() -> None:
    plain = make_recipe(eval=recipe().eval.model_dump(mode="json") | {"hub_benchmarks": {}})
    assert recipe().section("eval") == plain.section("eval")
    assert recipe().section("report") != plain.section("report")


def test_a_data_set_of_the_hub_has_an_owner() -> None:
    with pytest.raises(ValidationError, match="dataset"):
        make_recipe(
            eval=recipe().eval.model_dump()
            | {"hub_benchmarks": {"mcq": {"dataset": "x", "task_id": "y"}}}
        )


@pytest.mark.parametrize("limit", [None, 10])
def test_a_standard_benchmark_counts_only_whole(tmp_path: Path, limit: int | None) -> None:
    section = make_recipe().eval.model_dump(mode="json") | {
        "benchmarks": {"tasks": ["arc"], "limit": limit},
        "hub_benchmarks": {"lm_eval/arc": BENCHMARK},
    }
    scores = [score("merged", "lm_eval/arc", "acc", 0.3, 200, 0.05)]
    files = card_files(gather(make_work(tmp_path, make_recipe(eval=section), scores)))
    name = "hub/merged/.eval_results/lm_eval-arc.yaml"
    assert (name in files) == (limit is None)
