"""rag.fitting: what is chosen on questions of which everything is known by hand."""

from __future__ import annotations

import random

import pytest

from rag.fitting import fit
from rag.ranked import Ranked, fused_candidates, rank
from stemma.retrieval.fusion import fused
from stemma.retrieval.settings import SearchSettings

NONE: frozenset[str] = frozenset()


def ranked(gold: str, bm25: str, cosine: str, best: float = 1.0) -> Ranked:
    """Passages are letters; scores, and shares of words, fall from `best` by rank."""
    words, vectors = (
        {name: best / place for place, name in enumerate(ranking, 1)} for ranking in (bm25, cosine)
    )
    return Ranked(frozenset(gold), words, vectors, vectors | words)


def test_ranks_are_those_of_the_search() -> None:
    drawn = random.Random(7)
    for _ in range(50):
        lexical, dense = (drawn.sample(range(30), 12) for _ in range(2))
        one = Ranked(
            frozenset({str(drawn.randrange(30))}),
            dict.fromkeys(map(str, lexical), 1.0),
            dict.fromkeys(map(str, dense), 1.0),
        )
        for weight, rrf_k in ((0.0, 60.0), (0.3, 1.0), (0.5, 60.0), (1.0, 60.0)):
            ids, scores = fused_candidates(one, weight, rrf_k)
            expected = fused(lexical, dense, weight, rrf_k)
            own = {name: score for name, score in zip(ids, scores, strict=True) if score > 0}
            assert own == pytest.approx({str(number): score for number, score in expected})
            places = [float(own[str(number)]) for number, _ in expected]
            right = [
                place for place, (number, _) in enumerate(expected, 1) if str(number) in one.gold
            ]
            found = rank(one, weight, rrf_k)
            if not right:
                assert found == float("inf")
            else:  # equal scores may stand in either order
                assert places[int(found) - 1] == pytest.approx(places[right[0] - 1])


def test_the_better_arm_alone_is_chosen_where_fusion_adds_nothing() -> None:
    questions = [ranked("a", "ab", "ba") for _ in range(4)]
    fitted = fit(questions, SearchSettings(), NONE, k=1)
    assert (fitted.settings.arm, fitted.chosen.recall_1) == ("bm25", 1.0)
    turned = [ranked("a", "ba", "ab") for _ in range(4)]
    assert fit(turned, SearchSettings(), NONE, k=1).settings.arm == "dense"


def test_fusion_is_chosen_where_each_arm_knows_what_the_other_does_not() -> None:
    # By words right at rank 1 and by vectors at 3, and the other way round.
    questions = [ranked("a", "abc", "xya"), ranked("a", "xya", "abc")]
    fitted = fit(questions, SearchSettings(), NONE, k=1)
    figures = {(one.arm, one.weight, one.rrf_k): one for one in fitted.arms}
    assert figures[("bm25", None, None)].mrr_10 == pytest.approx((1 + 1 / 3) / 2)
    assert figures[("hybrid", 0.5, 60.0)].mrr_10 == 1.0  # 1/61 + 1/63 beats 1/61
    assert fitted.settings.arm == "hybrid"
    assert len(fitted.arms) == 2 + 9 * 6


def test_what_the_recipe_gives_stays() -> None:
    questions = [ranked("a", "ab", "ba")]
    asked = SearchSettings(arm="hybrid", weight=0.3, rrf_k=7.0, threshold=0.4)
    fitted = fit(questions, asked, frozenset({"arm", "weight", "rrf_k", "threshold"}), k=1)
    assert fitted.settings == asked
    assert len(fitted.arms) == 1


def test_without_vectors_there_is_one_arm() -> None:
    fitted = fit([ranked("a", "ab", "")], SearchSettings(), NONE, k=1)
    assert [one.arm for one in fitted.arms] == ["bm25"]
    assert fitted.settings.arm == "bm25"
    with pytest.raises(ValueError, match="no validation questions"):
        fit([], SearchSettings(), NONE, k=1)


def test_a_hybrid_that_finds_less_at_rank_1_is_out_of_the_question() -> None:
    # BM25 finds 7 of 10 at rank 1, and 3 not at all; the vectors find all of them at rank 2.
    questions = [ranked("a", "ab", "bac")] * 7 + [ranked("a", "xyz", "bac")] * 3
    fitted = fit(questions, SearchSettings(), NONE, k=1)
    lexical, dense = (one for one in fitted.arms if one.arm != "hybrid")
    assert (lexical.recall_1, lexical.mrr_10) == (0.7, pytest.approx(0.7))
    assert (dense.recall_1, dense.mrr_10) == (0.0, 0.5)
    for one in fitted.arms:
        if one.arm == "hybrid" and one.mrr_10 > fitted.chosen.mrr_10:
            assert one.recall_1 < lexical.recall_1
    assert fitted.chosen.mrr_10 >= lexical.mrr_10
    assert fitted.chosen.recall_1 >= lexical.recall_1


@pytest.mark.parametrize("seed", range(20))
def test_what_is_chosen_is_never_worse_than_an_arm_alone(seed: int) -> None:
    drawn = random.Random(seed)
    letters = "abcdefgh"
    questions = [
        ranked(
            drawn.choice(letters),
            *("".join(drawn.sample(letters, 5)) for _ in ("words", "vectors")),
        )
        for _ in range(12)
    ]
    fitted = fit(questions, SearchSettings(), NONE, k=1)
    best = max((one for one in fitted.arms if one.arm != "hybrid"), key=lambda x: x.mrr_10)
    assert fitted.chosen.mrr_10 >= best.mrr_10
    assert fitted.chosen.recall_1 >= best.recall_1 or fitted.chosen.mrr_10 == best.mrr_10


def test_the_table_names_what_was_compared() -> None:
    questions = [ranked("a", "abc", "xya"), ranked("a", "xya", "abc")]
    lines = fit(questions, SearchSettings(), NONE, k=1).table().splitlines()
    assert [line.split("  ")[0] for line in lines[:4]] == [
        "arm",
        "bm25",
        "dense",
        "hybrid, weight 0.5, k 60",
    ]
    assert sum("chosen" in line for line in lines) == 2, "an arm, and a measure of relevance"
    assert any(line.startswith("0.5 words + 0.5 cosine") for line in lines)
