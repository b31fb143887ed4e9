"""Figures of benchmarks as scores, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from eval.harness.job import BenchmarkFindings, HarnessFigure, TaskFindings
from eval.harness.scores import scores_of
from eval.statistics import wilson
from eval.verdicts import compare
from stemma.recipe.evaluation import NonInferiority


def row(number: int, acc: Any, filter_: str = "none", **more: Any) -> dict[str, Any]:
    return {"doc_id": number, "filter": filter_, "acc": acc, **more}


def findings(
    tasks: dict[str, TaskFindings], samples: dict[str, list[dict[str, Any]]]
) -> BenchmarkFindings:
    return BenchmarkFindings(key="k", tasks=tasks, samples=samples, facts={"lm_eval": "0.4.11"})


def task(*figures: HarnessFigure, tasks: tuple[str, ...] = ()) -> TaskFindings:
    return TaskFindings(figures=list(figures), tasks=list(tasks), facts={"version": "1.0"})


def figure(
    metric: str, value: float | None, stderr: float | None, filter_: str = "none"
) -> HarnessFigure:
    return HarnessFigure(metric=metric, filter=filter_, value=value, stderr=stderr)


def test_a_share_has_wilsons_interval_and_its_rows() -> None:
    found = findings(
        {"sums": task(figure("acc", 0.75, 0.25))},
        {"sums": [row(0, 1.0), row(1, 1.0), row(2, 0.0), row(3, 1)]},
    )
    scores = scores_of(found)["lm_eval/sums"]
    [metric] = scores.metrics
    assert (metric.name, metric.value, metric.n) == ("acc", 0.75, 4)
    assert (metric.low, metric.high) == wilson(0.75, 4)
    assert scores.right == {"acc": {"0": True, "1": True, "2": False, "3": True}}
    assert scores.facts == {"version": "1.0", "lm_eval": "0.4.11"}


def test_another_figure_has_the_harnesss_standard_error() -> None:
    found = findings(
        {"text": task(figure("word_perplexity", 20.0, 2.0), figure("bleu", 4.0, None))},
        {"text": [row(0, 1, word_perplexity=[-3.0, 2], bleu=["a", "b"])]},
    )
    perplexity, bleu = scores_of(found)["lm_eval/text"].metrics
    assert (perplexity.low, perplexity.high) == pytest.approx((16.08, 23.92), abs=1e-2)
    assert (bleu.value, bleu.low, bleu.high, bleu.n) == (4.0, None, None, 1)


def test_filters_are_apart_and_what_is_no_number_is_named() -> None:
    found = findings(
        {
            "gsm": task(
                figure("exact_match", 1.0, 0.0, "strict-match"),
                figure("exact_match", 0.0, 0.0, "flexible-extract"),
                figure("mcc", None, None),
            )
        },
        {
            "gsm": [
                {"doc_id": 0, "filter": "strict-match", "exact_match": 1.0},
                {"doc_id": 0, "filter": "flexible-extract", "exact_match": 0.0},
            ]
        },
    )
    scores = scores_of(found)["lm_eval/gsm"]
    assert [(one.name, one.value, one.n) for one in scores.metrics] == [
        ("exact_match:strict-match", 1.0, 1),
        ("exact_match:flexible-extract", 0.0, 1),
    ]
    assert scores.facts["no number"] == ["mcc"]


def test_a_group_pools_its_rows_where_it_weighs_them_alike() -> None:
    samples = {"a": [row(0, 1.0), row(1, 0.0), row(2, 0.0)], "b": [row(0, 1.0)]}
    by_row = findings({"both": task(figure("acc", 0.5, 0.29), tasks=("a", "b"))}, samples)
    scores = scores_of(by_row)["lm_eval/both"]
    assert scores.right == {"acc": {"a/0": True, "a/1": False, "a/2": False, "b/0": True}}
    assert scores.metrics[0].n == 4
    by_task = findings({"both": task(figure("acc", 2 / 3, 0.2), tasks=("a", "b"))}, samples)
    scores = scores_of(by_task)["lm_eval/both"]
    assert (scores.right, scores.metrics[0].low) == (
        {},
        pytest.approx(2 / 3 - 1.96 * 0.2, abs=1e-3),
    )


def test_variants_are_compared_row_by_row() -> None:
    one = findings({"t": task(figure("acc", 1.0, 0.0))}, {"t": [row(0, 1.0), row(1, 1.0)]})
    other = findings({"t": task(figure("acc", 0.5, 0.5))}, {"t": [row(0, 1.0), row(1, 0.0)]})
    names = ("gguf-Q4_K_M", "lm_eval/t", "acc")
    tasks = scores_of(one)["lm_eval/t"], scores_of(other)["lm_eval/t"]
    found = compare(names, *tasks, NonInferiority())
    assert (found.difference, found.gained, found.lost, found.p) == (0.5, 1, 0, 1.0)
