from __future__ import annotations

import random
import sqlite3
import time

import pytest

from data_builders.bm25 import COMMON, MANY_TEXTS, Bm25


def test_scores_are_those_of_fts5() -> None:
    """SQLite's own index, of the same texts and words, is an independent judge."""
    chance = random.Random(7)
    vocabulary = [f"w{number}" for number in range(2000)]
    texts = [" ".join(chance.choices(vocabulary, k=chance.randint(5, 60))) for _ in range(400)]
    base = sqlite3.connect(":memory:")
    base.execute("create virtual table t using fts5(text, tokenize='unicode61')")
    base.executemany(
        "insert into t(rowid, text) values (?, ?)",
        enumerate(texts),
    )
    index = Bm25(texts)
    for _ in range(50):
        asked = chance.sample(vocabulary, 6)
        query = " OR ".join(asked)
        wanted = base.execute(
            "select rowid, -bm25(t) from t where t match ? order by bm25(t), rowid limit 10",
            (query,),
        ).fetchall()
        found = index.nearest(" ".join(asked), 10)
        assert [score for _, score in found] == pytest.approx([score for _, score in wanted])
        assert found[0][0] == wanted[0][0]


def test_a_search_leaves_nothing_behind() -> None:
    index = Bm25(["heat flows", "force acts", "heat of heat"])
    once = index.nearest("heat", 5)
    index.nearest("force heat", 5)
    assert index.nearest("heat", 5) == once
    assert [number for number, _ in once] == [2, 0]


def test_nothing_is_found_of_nothing() -> None:
    assert Bm25([]).nearest("heat", 3) == []
    assert Bm25(["", "!"]).nearest("heat", 3) == []
    assert Bm25(["heat"]).nearest("", 3) == []
    assert Bm25(["heat"]).nearest("cold", 3) == []
    assert Bm25(["heat"]).nearest("heat", 0) == []


def test_words_of_many_texts_tell_nothing() -> None:
    texts = [f"the text {number}" for number in range(MANY_TEXTS)]
    index = Bm25(texts)
    assert index.nearest("the text", 3) == []
    assert [number for number, _ in index.nearest("the 7", 3)] == [7]
    assert COMMON * MANY_TEXTS > 1


def test_a_hundred_thousand_texts_are_searched_in_milliseconds() -> None:
    chance = random.Random(3)
    words = [f"w{int(chance.paretovariate(0.4))}" for _ in range(200_000)]
    texts = [" ".join(chance.choices(words, k=20)) for _ in range(20_000)]
    index = Bm25(texts)
    began = time.process_time()
    for text in texts[:500]:
        index.nearest(text, 5)
    assert (time.process_time() - began) / 500 < 0.02
