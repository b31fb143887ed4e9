"""rag.abstaining: measures of relevance and thresholds, by hand and as the search has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rag.abstaining import auroc, relevance_of
from rag.fitting import fit
from rag.ranked import Question, Ranked, ask
from stemma.retrieval.database import Database
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import Arm, SearchSettings
from tests.factories.retrieval import FACTS, LetterEmbedder, build

NONE: frozenset[str] = frozenset()


def by_words(*, own: float, other: float, found: str = "a") -> Ranked:
    """A question whose own passage `a` holds a share of its words, and another passage less."""
    return Ranked(frozenset(found), {"a": 2.0, "b": 1.0}, {}, {"a": own, "b": other})


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    higher, lower = np.array([0.9, 0.5, 0.2]), np.array([0.5, 0.1])
    # 0.9 beats both, 0.5 ties with one and beats one, 0.2 beats one: 4.5 of 6.
    assert auroc(higher, lower) == 4.5 / 6
    assert auroc(lower, lower) == 0.5


def test_the_threshold_keeps_what_is_found() -> None:
    # Shares of 0.05 to 1; without the own passage half as much.
    questions = [by_words(own=place / 20, other=place / 40) for place in range(1, 21)]
    fitted = fit(questions, SearchSettings(), NONE, k=1)
    assert fitted.settings.threshold == 0.1  # 19 of 20 are at least that
    point = next(one for one in fitted.curve if one.threshold == 0.1)
    assert (point.coverage, point.kept, point.risk) == (0.95, 0.95, 0.0)
    assert point.refused == 3 / 20  # 0.025, 0.05 and 0.075
    [measure] = fitted.relevances
    assert (measure.relevance_weight, measure.kept, measure.refused) == (0.0, 0.95, 3 / 20)
    wrong = [by_words(own=0.5, other=0.2, found="z") for _ in range(3)]
    never = fit(wrong, SearchSettings(), NONE, k=1)
    assert (never.settings.threshold, never.curve[0].risk, never.curve[0].kept) == (None, 1.0, None)


@pytest.mark.parametrize("words", [True, False])
def test_the_measure_that_tells_more_is_chosen(words: bool) -> None:
    """Either the shares of words fall without the own passages, or the cosines do."""
    falls, stays = (0.9, 0.1), (0.5, 0.5)
    shares, cosines = (falls, stays) if words else (stays, falls)
    one = Ranked(
        frozenset("a"),
        {"a": 2.0, "b": 1.0},
        dict(zip("ab", cosines, strict=True)),
        dict(zip("ab", shares, strict=True)),
    )
    asked = SearchSettings(arm="hybrid")
    fitted = fit([one] * 5, asked, frozenset({"arm", "weight", "rrf_k"}), k=1)
    chosen = {m.relevance_weight: m.auroc for m in fitted.relevances}
    assert chosen[0.0 if words else 1.0] == 1.0
    assert chosen[1.0 if words else 0.0] == 0.5
    assert fitted.settings.relevance_weight == (0.0 if words else 1.0)
    given = frozenset({"arm", "weight", "rrf_k", "relevance_weight"})
    assert fit([one] * 5, asked, given, k=1).settings.relevance_weight == 0.5


@pytest.mark.parametrize("arm", ["bm25", "dense", "hybrid"])
def test_the_search_abstains_where_the_fit_says(tmp_path: Path, arm: Arm) -> None:
    folder = tmp_path / "db"
    build(folder, embedder=LetterEmbedder())
    asked = SearchSettings(arm=arm, weight=0.3, rrf_k=2.0, relevance_weight=0.4)
    texts = [passage.text[: 20 + 3 * place] for place, passage in enumerate(FACTS)]
    texts += ["nothing like it", "qqq", "the rust", ""]
    with Database.open(folder) as database:
        free = Searcher(database, LetterEmbedder(), asked)
        for one, text in zip(
            ask(free, [Question(t, NONE) for t in texts], 100), texts, strict=True
        ):
            at = relevance_of(one, asked, NONE)
            for threshold, answers in ((at - 1e-6, True), (at + 1e-6, False)):
                settings = asked.model_copy(update={"threshold": threshold})
                hits = Searcher(database, LetterEmbedder(), settings).search([text], 3)[0]
                assert bool(hits) == (answers and bool(free.search([text], 3)[0])), text
