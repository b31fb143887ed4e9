"""What an evaluation can show: by hand, and by simulated evaluations."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from eval.paired import Paired, p_at_least
from stemma.jsonl import write_jsonl
from stemma.plan.benchmarks import asked
from stemma.plan.detectable import Detectable, detectable, questions_needed, smallest_difference
from stemma.recipe.models import Recipe
from stemma.rows import McqRow
from stemma.runs import Run
from stemma.stages import Forecast
from tests.factories.manifests import put_manifest
from tests.factories.run_to_score import make_recipe


def test_the_smallest_difference_by_hand() -> None:
    # 500 questions of which 10 % change: (1.96 sqrt(0.1) + 0.8416 sqrt(0.1 - d^2))^2 / d^2 = 500.
    found = smallest_difference(500, 0.1)
    assert found is not None
    assert found == pytest.approx(0.0395, abs=1e-4)
    spread = 1.95996 * sqrt(0.1) + 0.84162 * sqrt(0.1 - found**2)
    assert (spread / found) ** 2 == pytest.approx(500, rel=1e-3)


def test_a_large_difference_takes_as_many_changes() -> None:
    # Only losses: d = share. With 20 questions (1.96 sqrt(d) + 0.8416 sqrt(d - d^2))^2 / d^2 = 20.
    found = smallest_difference(20, 0.1)
    assert found is not None
    assert found > 0.1
    spread = 1.95996 * sqrt(found) + 0.84162 * sqrt(found - found**2)
    assert (spread / found) ** 2 == pytest.approx(20, rel=1e-3)
    assert smallest_difference(1, 0.1) is None


def test_questions_for_a_margin_by_hand() -> None:
    # (1.6449 + 0.8416)^2 * 0.1 / 0.0004 = 1545.6
    assert questions_needed(0.02, 0.1, 0.95) == 1546
    # However little changes: 0.98^149 < 0.05.
    assert questions_needed(0.02, 1e-6, 0.95) == 149
    assert questions_needed(0.05, 0.1, 0.95) == 248


def test_so_many_questions_show_it_in_about_80_of_100_evaluations() -> None:
    rng = np.random.default_rng(3)
    n = questions_needed(0.05, 0.1, 0.95)
    shown = 0
    for _ in range(300):
        lost, gained, _ = rng.multinomial(n, [0.05, 0.05, 0.9])
        shown += p_at_least(Paired(n, int(lost), int(gained)), -0.05) <= 0.05
    assert 0.72 < shown / 300 < 0.88


def test_the_smallest_difference_is_shown_in_about_80_of_100_evaluations() -> None:
    rng = np.random.default_rng(3)
    found = smallest_difference(500, 0.1)
    assert found is not None
    shown = 0
    for _ in range(300):
        lost, gained, _ = rng.multinomial(500, [0.05 + found / 2, 0.05 - found / 2, 0.9])
        shown += binomtest(int(gained), int(lost + gained)).pvalue <= 0.05
    assert 0.7 < shown / 300 < 0.88  # the exact test is a little careful


def test_the_test_rows_of_finished_data_are_counted_as_questions(tmp_path: Path) -> None:
    tasks = [
        {"task": "mcq", "limit": 5},
        {"task": "preference"},
        {"task": "generation"},
        {"task": "speed"},
    ]
    run = Run(tmp_path)
    asked = {"source": "s", "question": "1 + 1?", "answer": "A"}
    answered = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "2"}]
    pair = {"source": "s", "prompt": "?", "chosen": "2", "rejected": "3"}
    rows = {
        "mcq/test.jsonl": [{"id": f"{i}", "choices": ["2", f"{i}"], **asked} for i in range(3, 10)],
        "dpo/test.jsonl": [{"id": f"{i}", "question_id": f"{i // 2}", **pair} for i in range(6)],
        "sft/test.jsonl": [
            {"id": f"{i}", "source": "s", "messages": answered, "meta": {"gold": "2"} if i else {}}
            for i in range(4)
        ],
    }
    for name, written in rows.items():
        write_jsonl(run.folder("data") / name, written)
    put_manifest(run, "data", rows)
    found = {one.task: one for one in detectable(make_recipe(["gguf-F16"], tasks), run)}
    # Seven questions, of which five are asked; six pairs of three; of four with a gold answer three.
    assert {task: one.questions for task, one in found.items()} == {
        "mcq": 5,
        "preference": 3,
        "generation": 3,
    }
    assert found["mcq"] == Detectable("mcq", 5, smallest_difference(5, 0.1), 1546)


def test_without_data_the_questions_are_counted_of_the_sources(tmp_path: Path) -> None:
    recipe = make_recipe(["gguf-F16"], [{"task": "mcq"}])
    row = McqRow(id="1", source="s", question="1 + 1?", choices=["1", "2"], answer="B")
    again = row.model_copy(update={"id": "2", "choices": ["2", "1"], "answer": "A"})
    counted = Forecast({}, {}, {}, {"mcq": [row, again]})
    assert [one.questions for one in detectable(recipe, Run(tmp_path), counted)] == [1]
    unknown = Detectable("mcq", None, None, 1546)
    assert detectable(recipe, Run(tmp_path)) == [unknown]


def with_benchmarks(folder: Path, limit: int | None = None) -> Recipe:
    """A recipe with benchmarks whose task files and rows lie in a folder."""
    chosen = {"tasks": ["one", "other", "brought"], "limit": limit}
    recipe = make_recipe(["gguf-F16"], [{"task": "speed"}], benchmarks=chosen)
    data = recipe.data.model_copy(update={"root": str(folder)})
    return recipe.model_copy(update={"path": folder / "small.yml", "data": data})


def test_benchmarks_are_counted_where_their_rows_are_lines(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    lines = "dataset_path: json\ntest_split: test\ndataset_kwargs: {data_files: {test: %s, dev: x}}"
    for name, file in (("one", "rows.jsonl"), ("other", "rows.json")):
        text = f"task: {name}\n{lines % file}\n"
        (tmp_path / "tasks" / f"{name}.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "rows.json").write_text("[]", encoding="utf-8")
    (tmp_path / "rows.jsonl").write_text('{"q": 1}\n\n' + '{"q": 2}\n' * 299, encoding="utf-8")
    found = {one.task: one for one in detectable(with_benchmarks(tmp_path), Run(tmp_path))}
    assert {name: one.questions for name, one in found.items()} == {
        "lm_eval/one": 300,
        "lm_eval/other": None,
        "lm_eval/brought": None,
    }
    assert found["lm_eval/one"].difference == smallest_difference(300, 0.1)
    assert asked(with_benchmarks(tmp_path, limit=7))["one"] == 7
