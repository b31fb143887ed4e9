"""The names of metrics that the report explains are those that the evaluation writes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eval.abstaining import _tried
from eval.abstention import answers, metrics
from report import meanings
from stemma import ROOT


def quoted(*places: str) -> set[str]:
    """Every quoted word in these files and folders of `eval`."""
    files: list[Path] = []
    for place in places:
        path = ROOT / "eval" / place
        files += [path] if path.is_file() else path.glob("*.py")
    assert files
    return set(re.findall(r'"(\w+)"', "".join(file.read_text(encoding="utf-8") for file in files)))


@pytest.mark.parametrize(("task", "metric"), meanings.METRICS)
def test_each_explained_metric_of_a_task_is_measured(task: str, metric: str) -> None:
    place = f"tasks/{task}.py"
    own = place if (ROOT / "eval" / place).is_file() else task
    assert metric in quoted(own, "letters.py", "abstention.py")


def test_each_explained_metric_of_judgings_is_measured() -> None:
    assert set(meanings.JUDGE) <= quoted("judge")


def test_a_change_is_explained_by_what_changed() -> None:
    assert meanings.of_metric("mcq", "accuracy_minus_merged").startswith("accuracy less that of")
    assert "exact p-value" in meanings.of_metric("mcq", "accuracy_minus_merged_p")
    assert "Holm" in meanings.of_metric("mcq", "accuracy_minus_merged_p_holm")


def test_a_judging_of_any_name_is_explained_and_a_benchmark_keeps_its_own_words() -> None:
    assert meanings.of_metric("by-gpt", "won") == meanings.JUDGE["won"]
    assert meanings.of_metric("lm_eval/arc", "won") == ""
    assert meanings.of_task("lm_eval/arc").startswith("A standard benchmark")
    assert meanings.of_metric("mcq", "won") == ""


def test_each_metric_of_confidence_is_explained() -> None:
    sure = answers([{"A": -0.1, "B": -3.0}, {"A": -0.7, "B": -0.8}], ["A", "B"])
    named = [metric.name for metric in metrics(sure, sure, seed=1)]
    for name in ("threshold", "merged_threshold"):
        named += [metric.name for metric in _tried(sure, 0.5, name)]
    assert len(named) == 10
    assert all(meanings.of_metric("mcq", name) for name in named)


def test_what_stands_beside_our_own_tasks_is_explained_too() -> None:
    assert meanings.of_task("judge-base-scripted").startswith("Both variants' answers")
    assert meanings.of_metric("judge", "bradley_terry") == meanings.JUDGE["bradley_terry"]
    assert meanings.of_metric("judge-base", "won") == meanings.JUDGE["won"]
    exact = meanings.of_metric("lm_eval/gsm8k", "exact_match:strict-match")
    assert exact == meanings.BENCHMARKS["exact_match"]
    assert meanings.of_metric("lm_eval/x", "perplexity") == ""
