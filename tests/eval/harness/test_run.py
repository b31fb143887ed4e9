"""Benchmarks of a run's variants, each in its own process, on tiny models and local files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.harness.run import benchmark_jobs, benchmark_scores, measure
from eval.only import measure_only
from eval.run import run
from stemma.errors import StageFailed, UserError
from stemma.jsonl import read_dicts, read_json
from stemma.rows import Score
from stemma.stages import Work
from tests.factories.run_to_score import make_recipe, make_work

pytest.importorskip("lm_eval")

SUMS = """task: sums
tag: all_sums
dataset_path: json
dataset_kwargs:
  data_files: {test: sums.jsonl}
output_type: multiple_choice
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: "{{right}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata: {version: 2.0}
"""
WRITTEN = """task: written
include: sums.yaml
tag: none
output_type: generate_until
doc_to_choice: null
doc_to_target: "{{choices[right]}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 4, do_sample: false}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
ROLLED = """task: rolled
include: sums.yaml
tag: none
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_choice: null
doc_to_target: "{{question}}"
metric_list:
  - metric: word_perplexity
    aggregation: weighted_perplexity
    higher_is_better: false
"""


def make(folder: Path, tasks: list[str], variants: list[str], **section: Any) -> Work:
    """A finished run whose recipe names benchmarks beside it."""
    beside = folder / "recipes" / "tasks"
    beside.mkdir(parents=True, exist_ok=True)
    for name, text in (("sums", SUMS), ("written", WRITTEN), ("rolled", ROLLED)):
        (beside / f"{name}.yaml").write_text(text, encoding="utf-8")
    rows = [
        {"question": f"What is {a} + 1?", "choices": [str(a + 1), str(a), "none"], "right": a % 2}
        for a in range(8)
    ]
    (beside / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    recipe = make_recipe(variants, [{"task": "mcq"}], benchmarks={"tasks": tasks, **section})
    work = make_work(folder / "runs", recipe)
    path = folder / "recipes" / "small.yml"
    (folder / "recipes" / "templates").symlink_to(recipe.template.parent)
    return Work(recipe.model_copy(update={"path": path}), work.run, "eval", work.say)


@pytest.mark.slow
def test_every_variant_is_measured_and_nothing_twice(tmp_path: Path) -> None:
    said: list[str] = []
    work = make(tmp_path, ["all_sums", "written", "rolled"], ["merged", "gguf-F16"])
    work = Work(work.recipe, work.run, "eval", said.append)
    result = run(work)
    found = [Score.model_validate(value) for value in read_json(work.folder / "results.json")]
    scores = {(one.variant, one.task, one.metric): one for one in found}
    for variant in ("merged", "gguf-F16"):
        acc = scores[variant, "lm_eval/sums", "acc"]
        samples = read_dicts(work.folder / str(acc.samples))
        assert acc.n == len(samples) == 8
        assert acc.value == sum(row["acc"] for row in samples) / 8
        assert {"doc", "target", "arguments", "resps", "doc_hash"} <= set(samples[0])
        assert scores[variant, "lm_eval/written", "exact_match"].n == 8
        assert scores[variant, "lm_eval/rolled", "word_perplexity"].value > 1
    assert scores["gguf-F16", "lm_eval/sums", "acc_minus_merged"].n == 8
    assert "samples/merged/lm_eval/sums" in result.outputs
    facts = result.facts["merged"]["lm_eval/sums"]
    assert (facts["version"], facts["lm_eval"]) == ("2.0", "0.4.11")
    assert facts["requests"]["loglikelihood"] == 24
    assert facts["tokens_digest"] == result.facts["gguf-F16"]["lm_eval/sums"]["tokens_digest"]
    said.clear()
    (work.folder / "results.json").unlink()
    assert run(work).outputs == result.outputs
    assert [line for line in said if "measuring" in line] == []
    less = work.recipe.model_copy(deep=True)
    assert benchmark_scores(Work(less, work.run, "eval", said.append), ["merged"])["merged"]
    assert [line for line in said if "measuring" in line] == []


@pytest.mark.slow
def test_benchmarks_are_cells_and_a_broken_variant_stops_no_other(tmp_path: Path) -> None:
    said: list[str] = []
    work = make(tmp_path, ["sums", "written"], ["gguf-BF16", "gguf-F16"])
    work = Work(work.recipe, work.run, "eval", said.append)
    plan = ["gguf-F16/lm_eval/sums: would be measured"]
    assert measure_only(work, ["gguf-F16/lm_eval/sums"], dry_run=True) == plan
    assert measure_only(work, ["gguf-F16/lm_eval/sums"]) == ["gguf-F16/lm_eval/sums: is kept"]
    assert said == ["eval: measuring gguf-F16 on sums"]
    assert measure_only(work, ["gguf-F16"], dry_run=True)[1:] == [
        "gguf-F16/lm_eval/sums: is kept",
        "gguf-F16/lm_eval/written: would be measured",
    ]
    with pytest.raises(UserError, match="did you mean `gguf-F16/lm_eval/sums`"):
        measure_only(work, ["gguf-F16/lm_eval/sum"])
    said.clear()
    jobs = benchmark_jobs(work, ["gguf-BF16", "gguf-F16"])
    broken = jobs["gguf-BF16"]
    bad = broken.variant.model_copy(update={"weights": str(tmp_path / "no"), "made_by": None})
    mixed = jobs | {"gguf-BF16": broken.model_copy(update={"variant": bad})}
    with pytest.raises(StageFailed, match="measuring gguf-BF16 on sums, written failed"):
        measure(work, mixed, work.folder / "jobs")
    assert said == [
        "eval: measuring gguf-BF16 on sums, written",
        "eval: measuring gguf-F16 on written",
    ]
    said.clear()
    found = benchmark_scores(work, ["gguf-BF16", "gguf-F16"])
    assert said == ["eval: measuring gguf-BF16 on sums, written"], "what is missing, and no more"
    assert set(found["gguf-F16"]) == {"lm_eval/sums", "lm_eval/written"}


def test_what_is_wrong_is_told_before_a_model_is_opened(tmp_path: Path) -> None:
    work = make(tmp_path, ["sums"], ["merged"])
    beside = tmp_path / "recipes" / "tasks"
    (beside / "sums.jsonl").unlink()
    with pytest.raises(UserError) as caught:
        benchmark_scores(work, ["merged"])
    [problem] = caught.value.problems
    assert problem.found == "no such benchmark file: sums.jsonl"
    assert problem.where.endswith("sums.yaml:4")
    assert not (work.folder / "jobs").exists()


@pytest.mark.slow
def test_a_task_that_does_not_fit_its_rows_stops_the_stage_with_the_reason(tmp_path: Path) -> None:
    work = make(tmp_path, ["sums"], ["merged"])
    path = tmp_path / "recipes" / "tasks" / "sums.yaml"
    path.write_text(SUMS.replace("{{question}}", "{{qestion}}"), encoding="utf-8")
    with pytest.raises(StageFailed, match=r"benchmark `sums` cannot be loaded: UndefinedError") as (
        caught
    ):
        benchmark_scores(work, ["merged"])
    assert "qestion" in str(caught.value)


def test_a_recipe_without_benchmarks_measures_none(tmp_path: Path) -> None:
    work = make_work(tmp_path, make_recipe(["merged"], [{"task": "mcq"}]))
    assert benchmark_scores(work, ["merged"]) == {"merged": {}}
