"""The fitted search on the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rag.fitting import fit
from rag.ranked import Ranked
from report.fitted import fitted_curves, fitted_relevance, fitted_search
from report.page import HTML, MARKDOWN, render
from report.run import gather
from report.run_data import RunData
from stemma.retrieval.settings import SearchSettings
from tests.factories.run_to_report import make_work


def evidence_of(tmp_path: Path) -> RunData:
    """Ten questions: BM25 has nine right, vectors the tenth; relevance falls with the number."""
    ranked = [
        Ranked(
            frozenset("a"),
            {"a": 2.0, "b": 1.0} if number else {"b": 2.0, "a": 1.0},
            {"b": 0.5, "a": 0.4},
            {"a": 0.1 * number, "b": 0.05},
        )
        for number in range(10)
    ]
    fitted = fit(ranked, SearchSettings(), frozenset(), k=1)
    return replace(gather(make_work(tmp_path)), fitted=fitted.model_dump(mode="json"))


def test_arms_and_measures_are_told_with_what_was_chosen(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path)
    rows = {str(row[0]): row for row in fitted_search(evidence).rows}
    assert rows["bm25"][1:] == [10, "0.900", "1.000", "0.950", "yes"]
    assert rows["dense"][1:] == [10, "0.000", "1.000", "0.500", None]
    assert "hybrid, weight 0.5, k 60" in rows
    # The fitted arm has no cosines: one measure. Without its passage every question has 0.05; with
    # it nine have more, and one as much: 9.5 of 10.
    [row] = fitted_relevance(evidence).rows
    assert row == ["1 words + 0 cosine", 10, "0.950", "1.000", "0.000", "yes"]
    [curve] = fitted_curves(evidence)
    assert curve.lines["fitted search · validation"][-1] == pytest.approx((1.0, 0.1))


def test_the_page_shows_it_and_says_the_threshold(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path)
    html, markdown = render(evidence, HTML), render(evidence, MARKDOWN)
    assert evidence.fitted
    threshold = f"{evidence.fitted['settings']['threshold']:.3f}"
    for page in (html, markdown):
        assert "hybrid, weight 0.5, k 60" in page
        assert threshold in page
    assert html.count('<section id="retrieval">') == 1
    assert "fitted search · validation: risk against coverage" in html
    without = render(replace(evidence, fitted=None), HTML)
    assert "How the search was fitted" not in without
    assert '<section id="retrieval">' not in without
