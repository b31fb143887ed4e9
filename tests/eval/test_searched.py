"""The search alone: measures by hand, and against a randomised test's extremes."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import pytest

from eval.gold import GoldPassages
from eval.searched import per_query, randomisation_p, ranked, search_key, search_scores
from stemma.retrieval.passages import Hit, Passage
from tests.eval.encyclopaedia import retrieval


def hit(name: str, text: str = "") -> Hit:
    return Hit(Passage(name, "", text, "toy", ""), 1.0, None, None)


def test_measures_by_hand() -> None:
    ranks = [["a", "b", "c"], ["x", "b"], [], [f"n{i}" for i in range(9)] + ["d"]]
    gold = [["a"], ["b"], ["c"], ["d", "e"]]
    found = per_query(ranks, gold)
    assert found["recall_at_1"] == [1, 0, 0, 0]
    assert found["recall_at_5"] == [1, 1, 0, 0]
    assert found["recall_at_10"] == [1, 1, 0, 0.5], "one of two"
    assert found["mrr_at_10"] == pytest.approx([1, 1 / 2, 0, 1 / 10])
    ideal = 1 / log2(2) + 1 / log2(3)
    assert found["ndcg_at_10"] == pytest.approx([1, 1 / log2(3), 0, 1 / log2(11) / ideal])


def test_a_support_cut_in_two_counts_once_at_the_first_rank() -> None:
    support = "Force is measured in newton and energy is measured in joule, says the book."
    gold = [Passage("support of q", "", support, "toy", "")]
    hits = [
        hit("x", "nothing of the kind"),
        hit("y", "energy is measured in joule, says the book"),
        hit("z", "Force is measured in newton and energy is"),
    ]
    judge = GoldPassages(lambda _: None)
    assert ranked(hits, gold, judge) == ["x", "support of q"]


def test_arms_differ_with_an_interval_and_a_corrected_p_value() -> None:
    queries = [f"q{i}" for i in range(40)]
    ranks = {"bm25": [["a"]] * 40, "dense": [["a"]] * 10 + [["b"]] * 30}
    values = {arm: per_query(found, [["a"]] * 40) for arm, found in ranks.items()}
    rows = {(row.variant, row.metric): row for row in search_scores(values, queries, 7)}
    assert rows["bm25", "recall_at_1"].value == 1.0
    assert rows["dense", "recall_at_1"].value == 0.25
    change = rows["dense", "recall_at_1_minus_bm25"]
    assert (change.value, change.n) == (-0.75, 40)
    assert change.high is not None
    assert change.high < -0.5
    assert rows["dense", "recall_at_1_minus_bm25_p_holm"].value < 0.001


def test_the_randomised_test_at_its_ends() -> None:
    assert randomisation_p([0.0, 0.0], 1) == 1.0
    assert randomisation_p([1.0], 1) == 1.0, "one question says nothing"
    # Of 2**5 changes of sign, two sum to 5 or -5.
    assert randomisation_p([1.0] * 5, 1) == pytest.approx(2 / 32, abs=0.01)
    assert randomisation_p([1.0] * 40, 1) == pytest.approx(1 / 10_001)


def test_what_was_searched_is_named_by_all_that_decides_it() -> None:
    gold = Passage("sum-1", "", "Two and two are four.", "toy", "")
    decides = {"database": "x", "with_contaminated": True, "max_tokens": 9}
    usual = search_key(retrieval(decides=decides), {"2 + 2?": [gold]})
    for key, value in (("database", "y"), ("with_contaminated", False)):
        other = retrieval(decides=decides | {key: value})
        assert search_key(other, {"2 + 2?": [gold]}) != usual
    assert search_key(retrieval(decides=decides), {"2 + 2?": [replace(gold, text="4.")]}) != usual
    assert search_key(retrieval(decides=decides | {"max_tokens": 8}), {"2 + 2?": [gold]}) == usual
