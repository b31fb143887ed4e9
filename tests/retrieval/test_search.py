from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stemma.errors import UserError
from stemma.retrieval.database import Database
from stemma.retrieval.passages import Hit
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings
from tests.factories.retrieval import FACTS, LetterEmbedder, build, passage

EMBEDDER = LetterEmbedder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path / "database", embedder=EMBEDDER)
    return tmp_path / "database"


def searcher(folder: Path, **settings: object) -> Searcher:
    return Searcher(Database.open(folder), EMBEDDER, SearchSettings(**settings))  # type: ignore[arg-type]


def ids(hits: list[Hit]) -> list[str]:
    return [hit.passage.id for hit in hits]


def test_bm25_finds_by_stems_and_leaves_stop_words_out(folder: Path) -> None:
    (hits,) = searcher(folder).search(["Which metals are conducting?"], k=3)
    assert ids(hits) == ["copper"]
    assert hits[0].bm25 == hits[0].score
    assert hits[0].score > 0
    assert hits[0].cosine is None


def test_a_hit_carries_the_whole_passage(folder: Path) -> None:
    (hits,) = searcher(folder).search(["rust"], k=1)
    assert hits[0].passage == FACTS[1]


def test_dense_orders_every_passage_by_its_cosine(folder: Path) -> None:
    query = "The tides of the oceans"
    (hits,) = searcher(folder).search([query], k=9, arm="dense")
    vector = EMBEDDER.queries([query])[0]
    expected = {
        one.id: float(np.float16(EMBEDDER.queries([one.searched])[0]) @ vector) for one in FACTS
    }
    assert ids(hits) == sorted(expected, key=lambda name: -expected[name])
    assert [hit.cosine for hit in hits] == pytest.approx(
        sorted(expected.values(), reverse=True), abs=2e-3
    )


def test_hybrid_is_the_weighted_fusion_of_both_rankings(folder: Path) -> None:
    query = "rust and energy of a cell"
    both = searcher(folder, arm="hybrid", weight=0.25, rrf_k=2.0)
    (lexical,) = both.search([query], k=5, arm="bm25")
    (dense,) = both.search([query], k=5, arm="dense")
    (hits,) = both.search([query], k=5)
    by_hand: dict[str, float] = {}
    for found, share in ((lexical, 0.75), (dense, 0.25)):
        for rank, hit in enumerate(found, start=1):
            name = hit.passage.id
            by_hand[name] = by_hand.get(name, 0) + share / (2.0 + rank)
    assert {hit.passage.id: hit.score for hit in hits} == pytest.approx(by_hand)
    assert [hit.score for hit in hits] == sorted(by_hand.values(), reverse=True)
    assert all(hit.cosine is not None for hit in hits)


def test_only_the_named_sources_are_found(folder: Path) -> None:
    for arm in ("bm25", "dense", "hybrid"):
        (hits,) = searcher(folder).search(["light energy rust"], k=9, arm=arm, sources=["biology"])
        assert set(ids(hits)) == {"cell", "leaf"}


def test_an_unknown_source_is_told_with_the_known_ones(folder: Path) -> None:
    with pytest.raises(UserError, match=r"no source `physics`(?s:.*)biology, notes, sky"):
        searcher(folder).search(["light"], k=1, sources=["physics"])


def test_queries_asked_together_get_their_own_answers(folder: Path) -> None:
    asked = ["rust", "tides", "chlorophyll"]
    for arm in ("bm25", "dense", "hybrid"):
        together = searcher(folder).search(asked, k=2, arm=arm)
        alone = [searcher(folder).search([one], k=2, arm=arm)[0] for one in asked]
        assert [ids(hits) for hits in together] == [ids(hits) for hits in alone]


def test_nothing_is_found_below_the_threshold(folder: Path) -> None:
    # "rust" is held, a word that no passage holds is not, and weighs more.
    for query, threshold, answers in (("rust", 1.0, True), ("rust zebra", 0.5, False)):
        hits = searcher(folder, threshold=threshold).search([query], k=1)
        assert bool(hits[0]) is answers
    # Another arm than the one the threshold was fitted for.
    assert searcher(folder, threshold=0.5).search(["rust zebra"], k=1, arm="dense") != [[]]
    (hit,) = searcher(folder, arm="dense").search(["rust zebra"], k=1)[0]
    assert hit.cosine is not None
    for threshold, answers in ((hit.cosine - 0.001, True), (hit.cosine + 0.001, False)):
        opened = searcher(folder, arm="dense", relevance_weight=1.0, threshold=threshold)
        assert bool(opened.search(["rust zebra"], k=1)[0]) is answers


def test_mmr_prefers_a_passage_that_differs(tmp_path: Path) -> None:
    twins = [
        passage("a", "tide tide ocean moon water"),
        passage("b", "tide tide ocean moon waters"),
        passage("c", "tide zzz qqq xxx kkk"),
    ]
    build(tmp_path / "db", twins, LetterEmbedder())
    build(tmp_path / "words", twins)
    for name, embedder in (("db", LetterEmbedder()), ("words", None)):
        database = Database.open(tmp_path / name)
        near = Searcher(database, embedder, SearchSettings())
        far = Searcher(database, embedder, SearchSettings(mmr=0.3))
        assert set(ids(near.search(["tide ocean"], k=2)[0])) == {"a", "b"}
        assert ids(far.search(["tide ocean"], k=2)[0])[1] == "c"


HOSTILE = [
    "",
    "   ",
    "\0",
    "rust\0 OR 1=1",
    "'; DROP TABLE passages; --",
    'NEAR("rust" "air", 3) AND NOT title:iron*',
    '"""((("*^:-{}[]',
    "%_\\",
    "the of and to",
    "\ud800 broken",
    "🦀 ﷺ ﷽",
    "x" * 1_000_000,
]


@pytest.mark.parametrize("arm", ["bm25", "dense", "hybrid"])
def test_any_text_is_a_query(folder: Path, arm: str) -> None:
    one = searcher(folder)
    for hits in one.search(HOSTILE, k=3, arm=arm):  # type: ignore[arg-type]
        assert len(hits) <= 3
    assert ids(one.search(["rust"], k=1)[0]) == ["iron"]  # nothing was dropped


def test_operators_and_quotes_are_no_words(folder: Path) -> None:
    one = searcher(folder)
    plain, quoted = one.search(["rust air", '("rust" NEAR/2 "air*") AND NOT x:'], k=3)
    assert ids(plain) == ids(quoted) == ["iron"]


def test_a_query_without_a_word_finds_nothing(folder: Path) -> None:
    for arm in ("bm25", "dense", "hybrid"):
        assert searcher(folder).search(["", "\0"], k=3, arm=arm) == [[], []]


def test_a_query_of_ten_thousand_words_is_answered(folder: Path) -> None:
    words = " ".join(f"word{number}" for number in range(9_999)) + " rust"
    (hits,) = searcher(folder).search([words], k=3)
    assert ids(hits) == ["iron"]


def test_ten_thousand_queries_at_once_are_answered_in_their_order(folder: Path) -> None:
    asked = ["rust", "tides", "chlorophyll", ""]
    found = searcher(folder, arm="hybrid").search(asked * 2_500, k=1)
    names = [one and one[0].passage.id for one in found]
    assert names == names[:4] * 2_500
    assert [names[0], names[3]] == ["iron", []]


def test_another_embedder_than_the_vectors_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"another embedding model than the vectors'"):
        Searcher(Database.open(folder), LetterEmbedder("other"), SearchSettings())


def test_dense_search_without_vectors_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "db")
    with pytest.raises(UserError, match=r"needs vectors, and this database has none"):
        Searcher(Database.open(tmp_path / "db"), None, SearchSettings(arm="hybrid"))
    one = Searcher(Database.open(tmp_path / "db"), None, SearchSettings())
    with pytest.raises(UserError, match=r"rag.encoder, or search with the arm `bm25`"):
        one.search(["rust"], k=1, arm="dense")


def test_contaminated_passages_can_be_kept_out(tmp_path: Path) -> None:
    from rag.writer import DatabaseWriter
    from tests.factories.retrieval import ROOMY, facts

    with DatabaseWriter(tmp_path / "db", EMBEDDER, ROOMY) as writer:
        writer.add(FACTS)
        writer.mark_contaminated(["iron", "moon"])
        assert writer.finish(facts()).contaminated == 2
    one = searcher(tmp_path / "db")
    assert ids(one.search(["rust"], k=1)[0]) == ["iron"]
    for arm in ("bm25", "dense", "hybrid"):
        (hits,) = one.search(["rust tides leaves"], k=9, arm=arm, with_contaminated=False)
        assert "leaf" in ids(hits)
        assert not {"iron", "moon"} & set(ids(hits))
