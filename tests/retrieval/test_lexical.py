from __future__ import annotations

import math
import sqlite3

import numpy as np
import pytest

from stemma.retrieval import lexical
from stemma.retrieval.lexical import Lexical, index_block, packed, unpacked
from stemma.retrieval.words import words_of


def test_words_are_lower_case_stems_without_accents_and_stop_words() -> None:
    assert words_of("The Cats' running, émigrés; X-rays of 3.5 kg") == [
        *("cat", "run", "emigr", "x", "rai", "3", "5", "kg")
    ]
    assert words_of("what is it that you don't") == []
    assert words_of("") == []


def test_lists_come_back_as_they_were() -> None:
    random = np.random.default_rng(5)
    lists = [np.flatnonzero(random.random(lexical.BLOCK) < share) for share in (0.5, 0.01, 0.0005)]
    lists += [np.array([0]), np.array([255, 511]), np.array([256]), np.array([lexical.BLOCK - 1])]
    counts = [random.integers(1, 300, size=len(one)) for one in lists]
    begins = np.cumsum([0] + [len(one) for one in lists[:-1]])
    data = packed(np.concatenate(lists), np.concatenate(counts), begins)
    for stored, numbers, times in zip(data, lists, counts, strict=True):
        found, held = unpacked(stored)
        assert np.array_equal(found, numbers)
        assert np.array_equal(held, np.minimum(times, 255))
    assert len(data[0]) == 1 + 2 * len(lists[0]), "a common word takes two bytes a passage"


def test_scores_are_bm25_over_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "BLOCK", 2)
    texts = ["tide moon", "moon moon sea", "iron", "iron moon rust", "leaf"]
    connection = sqlite3.connect(":memory:")
    connection.executescript(lexical.SCHEMA)
    for block in range(3):
        lengths, lists = index_block(texts[2 * block : 2 * block + 2])
        connection.execute("INSERT INTO blocks VALUES (?, ?)", (block, lengths))
        rows = [(block, *one) for one in lists]
        connection.executemany("INSERT INTO postings VALUES (?, ?, ?)", rows)
    found = Lexical.open(connection).scores("moons, moon and rust")

    mean = (2 + 3 + 1 + 3 + 1) / 5

    def share(times: int, length: int, holding: int) -> float:
        weight = math.log(1 + (5 - holding + 0.5) / (holding + 0.5))
        return weight * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))

    expected = [2 * share(1, 2, 3), 2 * share(2, 3, 3), 0, 2 * share(1, 3, 3) + share(1, 3, 1), 0]
    assert found == pytest.approx(expected, rel=1e-5)


def test_an_empty_database_has_no_scores() -> None:
    connection = sqlite3.connect(":memory:")
    connection.executescript(lexical.SCHEMA)
    lengths, lists = index_block([])
    connection.execute("INSERT INTO blocks VALUES (0, ?)", (lengths,))
    assert lists == []
    assert len(Lexical.open(connection).scores("moon")) == 0
