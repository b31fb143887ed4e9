"""The best passages of each question, held against a plain computation of BM25's formula."""

from __future__ import annotations

import math
import random
from collections import Counter

from rag.found import K1, B, Finder, best_places
from stemma.retrieval.words import words_of

TEXTS = [
    "Water boils at one hundred degrees.",
    "Ice melts. Melting ice takes heat.",
    "The force on a body is mass times acceleration.",
    "Boiling water gives steam.",
    "Nothing here.",
]


def plain(questions: list[str], texts: list[str], count: int) -> list[list[int]]:
    """The same by the formula, passage by passage."""
    words = [words_of(text) for text in texts]
    usual = sum(map(len, words)) / len(texts)
    holding = Counter(word for some in words for word in set(some))
    found = []
    for question in questions:
        scores = []
        for place, some in enumerate(words):
            counts = Counter(some)
            score = 0.0
            for word in set(words_of(question)):
                rare = math.log1p((len(texts) - holding[word] + 0.5) / (holding[word] + 0.5))
                norm = counts[word] + K1 * (1 - B + B * len(some) / usual)
                score += rare * counts[word] * (K1 + 1) / norm if counts[word] else 0.0
            if score:
                scores.append((-score, place))
        found.append([place for _, place in sorted(scores)[:count]])
    return found


def test_the_best_passages_come_first() -> None:
    asked = ["When does water boil?", "What is force?", "Why?", "melting of ice"]
    ranked, count = best_places(asked, 2, iter([TEXTS, TEXTS]))
    assert count == 5
    assert ranked == [[3, 0], [2], [], [1]]


def test_it_is_the_formulas_order_over_many_blocks() -> None:
    chance = random.Random(7)
    vocabulary = [f"w{number}x" for number in range(60)]
    weights = [1 / (number + 1) for number in range(60)]
    texts = [
        " ".join(chance.choices(vocabulary, weights, k=chance.randint(1, 40))) for _ in range(700)
    ]
    asked = [" ".join(chance.choices(vocabulary, k=5)) for _ in range(40)]
    finder = Finder(asked, 7)
    finder._block = 64
    finder.learn(texts)
    finder.search(texts)
    for mine, theirs in zip(finder.ranked(), plain(asked, texts, 7), strict=True):
        # float32 may swap passages whose scores are equal to seven digits.
        assert len(set(mine) & set(theirs)) >= 6
        assert mine[0] == theirs[0]


def test_equal_passages_stand_in_their_order() -> None:
    assert best_places(["heat"], 3, iter([["heat"] * 9] * 2))[0] == [[0, 1, 2]]


def test_no_questions_and_empty_texts_are_no_trouble() -> None:
    assert best_places([], 3, iter([TEXTS, TEXTS])) == ([], 5)
    assert best_places(["the of"], 3, iter([["", ""], ["", ""]])) == ([[]], 2)
