"""stemma.retrieval.relevance: words of a question that a passage holds."""

from __future__ import annotations

import pytest

from stemma.retrieval.relevance import relevance, word_share


def test_rare_words_count_more() -> None:
    weights = {"rust": 3.0, "iron": 1.0}
    assert word_share(weights, "Iron lies there.") == 0.25
    assert word_share(weights, "It rusts.") == 0.75, "as BM25 stems words"
    assert word_share(weights, "Rusting of iron") == 1.0
    assert word_share(weights, "Tides") == 0.0
    assert word_share({}, "Tides") == 0.0


def test_both_measures_are_weighed() -> None:
    assert relevance(0.8, 0.4, 0.25) == pytest.approx(0.5)
    assert (relevance(0.8, 0.4, 0.0), relevance(0.8, 0.4, 1.0)) == (0.4, 0.8)
