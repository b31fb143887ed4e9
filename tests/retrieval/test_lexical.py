from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

import numpy as np
import pytest

from stemma.retrieval import lexical
from stemma.retrieval.lexical import Lexical, index_block, packed, unpacked
from stemma.retrieval.words import all_words_of, words_of


def opened(texts: Sequence[str]) -> Lexical:
    """Texts indexed in as many blocks as they need."""
    connection = sqlite3.connect(":memory:")
    connection.executescript(lexical.SCHEMA)
    for block in range(max(1, -(-len(texts) // lexical.BLOCK))):
        begin = block * lexical.BLOCK
        lengths, lists = index_block(texts[begin : begin + lexical.BLOCK])
        connection.execute("INSERT INTO blocks VALUES (?, ?)", (block, lengths))
        rows = [(block, *one) for one in lists]
        connection.executemany("INSERT INTO postings VALUES (?, ?, ?)", rows)
    return Lexical(connection)


def test_words_are_lower_case_stems_without_accents_and_stop_words() -> None:
    assert words_of("The Cats' running, émigrés; X-rays of 3.5 kg") == [
        *("cat", "run", "emigr", "x", "rai", "3", "5", "kg")
    ]
    assert words_of("what is it that you don't") == []
    assert words_of("") == []


def test_stop_words_are_marked_and_not_stemmed() -> None:
    assert all_words_of("Wills of The having") == ["will", "'of", "'the", "'having"]


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
    texts = ["tide moon", "and moon moon sea", "and iron", "iron moon rust", "leaf"]
    found = opened(texts).best("moons, moon and rust", 9)

    mean = (2 + 4 + 2 + 3 + 1) / 5

    def share(times: int, length: int, holding: int) -> float:
        weight = math.log(1 + (5 - holding + 0.5) / (holding + 0.5))
        return weight * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * length / mean))

    expected = {
        0: 2 * share(1, 2, 3),
        1: 2 * share(2, 4, 3) + share(1, 4, 2),
        3: 2 * share(1, 3, 3) + share(1, 3, 1),
    }
    assert found == pytest.approx(expected, rel=1e-5)
    assert list(found) == sorted(expected, key=lambda number: -expected[number])


def by_hand(texts: Sequence[str], query: str) -> dict[int, float]:
    """BM25 of every text that holds a word of the query that is no stop word."""
    words = [all_words_of(text) for text in texts]
    mean = sum(map(len, words)) / len(words)
    found: dict[int, float] = {}
    for number, held in enumerate(words):
        if not set(words_of(query)) & set(held):
            continue
        score = 0.0
        for word in all_words_of(query):
            holding = sum(word in one for one in words)
            weight = math.log(1 + (len(words) - holding + 0.5) / (holding + 0.5))
            times = held.count(word)
            below = times + 1.2 * (0.25 + 0.75 * len(held) / mean)
            score += weight * times * 2.2 / below
        found[number] = score
    return found


@pytest.mark.parametrize("seed", range(5))
def test_stop_words_left_uncomputed_change_no_rank(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against a computation without shortcuts, over blocks, with and without a filter."""
    monkeypatch.setattr(lexical, "BLOCK", 64)
    random = np.random.default_rng(seed)
    stop, other = ["the", "of", "is", "what", "in"], [f"w{number}x" for number in range(40)]
    shares = 1 / np.arange(1, 46)

    def drawn(words: int) -> str:
        return " ".join(random.choice([*stop, *other], size=words, p=shares / shares.sum()))

    texts = [drawn(int(random.integers(1, 30))) for _ in range(300)]
    index = opened(texts)
    allowed = random.random(300) < 0.5
    for _ in range(10):
        query = drawn(8)
        whole = by_hand(texts, query)
        for mask in (None, allowed):
            scores = {one: whole[one] for one in whole if mask is None or mask[one]}
            for count in (1, 5, 400):
                found = index.best(query, count, mask)
                best = sorted(scores.values(), reverse=True)[:count]
                assert list(found.values()) == pytest.approx(best, rel=1e-5)
                assert found == pytest.approx({one: scores[one] for one in found}, rel=1e-5)


def test_stop_words_alone_find_nothing() -> None:
    index = opened(["what is it that you have", "the moon"])
    assert index.best("what is the", 5) == {}
    assert list(index.best("what is the moon", 5)) == [1]


def test_an_empty_database_has_no_scores() -> None:
    assert opened([]).best("the moon", 3) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("熵", ["熵"]),
        ("熵是量度", ["熵", "是", "量", "度", "熵是", "是量", "量度"]),
        ("DNA是酸。RNA", ["dna", "是", "酸", "是酸", "rna"]),
        ("カ_タ Größe", ["カ", "タ", "große"]),
        ("서울은 IS", ["서", "울", "은", "서울", "울은", "'is"]),
    ],
)
def test_writing_without_blanks_is_compared_by_signs_and_pairs(text: str, words: list[str]) -> None:
    found = all_words_of(text)
    assert found == words


@pytest.mark.parametrize(
    ("passages", "queries"),
    [
        (
            ["서울은 대한민국의 수도이다.", "부산은 항구 도시이다.", "제주는 화산섬이다."],
            ["서울", "부산", "제주"],
        ),
        (["ประเทศไทยมีอากาศร้อน", "แมวกินปลา", "น้ำไหลลง"], ["อากาศ", "ปลา", "น้ำ"]),
        (["ទឹកហូរ", "ឆ្មាស៊ីត្រី"], ["ទឹក", "ត្រី"]),
        (["ရေစီး", "ကြောင်ငါးစား"], ["ရေ", "ငါး"]),
        (["Κύμα και φως", "Ήχος στον αέρα"], ["φως", "ηχος"]),
        (["الأرض تدور", "الماء يجري"], ["الأرض", "الماء"]),
        (["गर्मी बहती है", "पानी गिरता है"], ["गर्मी", "पानी"]),
    ],
)
def test_nouns_are_found_in_many_languages(passages: list[str], queries: list[str]) -> None:
    """Haystack's default finds none of ten Korean nouns in a passage (its issue 12836)."""
    lexical = opened(passages)
    first = [next(iter(lexical.best(query, 3)), None) for query in queries]
    assert first == list(range(len(queries)))
