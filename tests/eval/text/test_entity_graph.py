"""Values by hand, and against a plain double loop on many drawn texts."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from eval.text.entity_graph import entity_graph, maximum, normalised, of_first


def sets(text: str) -> list[set[str]]:
    """`ab b c`: three sentences with the nouns {a, b}, {b}, {c}; `-` has none."""
    return [set(part) - {"-"} for part in text.split()]


BY_HAND = [
    ("a", 0, None),
    ("a b", 0, 0),
    ("a a", 0.5, 1),  # one pair of neighbours, two sentences; H(2) - 1 = 1/2
    ("ab ab", 0.5, 1),  # sharing two nouns joins no more than one
    ("a - a", Fraction(1, 6), Fraction(1, 5)),  # 1/2 of 3; H(3) - 1 = 5/6
    ("f fm m", Fraction(2, 3), Fraction(4, 5)),
    ("a a a", Fraction(5, 6), 1),  # (1 + 1 + 1/2) / 3
    ("a a a a", Fraction(13, 12), 1),  # (3 + 2/2 + 1/3) / 4 = H(4) - 1
    ("a b a b", Fraction(1, 4), Fraction(3, 13)),  # two pairs at distance 2
    ("- - -", 0, 0),
]


@pytest.mark.parametrize(("text", "raw", "share"), BY_HAND)
def test_by_hand(text: str, raw: float | Fraction, share: float | Fraction | None) -> None:
    assert entity_graph(sets(text)) == pytest.approx(float(raw))
    assert normalised(sets(text)) == (None if share is None else pytest.approx(float(share)))


def test_no_sentence_has_no_value() -> None:
    assert entity_graph([]) is normalised([]) is of_first([], 2) is None


@pytest.mark.parametrize("n", [2, 3, 6, 10, 100])
def test_the_maximum_is_reached_and_is_h_minus_1(n: int) -> None:
    harmonic = float(sum(Fraction(1, number) for number in range(1, n + 1)))
    assert maximum(n) == pytest.approx(harmonic - 1)
    assert entity_graph([{"a"}] * n) == pytest.approx(harmonic - 1)
    assert normalised([{"a"}] * n) == pytest.approx(1)


def test_the_reports_figure_needs_six_sentences() -> None:
    assert maximum(5) < 1.31 < maximum(6)


def test_repeating_a_text_raises_the_raw_value_and_not_that_of_its_beginning() -> None:
    text = sets("ab b c a")
    raw, longer = entity_graph(text), entity_graph(text * 3)
    assert raw is not None
    assert longer is not None
    assert longer > raw
    assert of_first(text, 4) == of_first(text * 3, 4) == raw
    assert of_first(text, 5) is None


def plainly(text: list[set[str]]) -> float:
    n = len(text)
    pairs = [(i, j) for j in range(n) for i in range(j) if text[i] & text[j]]
    return float(sum(Fraction(1, j - i) for i, j in pairs) / n)


def test_against_a_plain_double_loop() -> None:
    draws = Random(13)
    for _ in range(300):
        text = [
            set(draws.sample("abcdefgh", draws.randint(0, 4))) for _ in range(draws.randint(1, 12))
        ]
        raw = entity_graph(text)
        assert raw == pytest.approx(plainly(text))
        assert 0 <= raw <= maximum(len(text)) + 1e-12
        # What the nouns are called, and which way the text is read, changes nothing.
        renamed = [{noun.upper() for noun in nouns} for nouns in reversed(text)]
        assert entity_graph(renamed) == pytest.approx(raw)
        # A noun that stands in one sentence alone joins nothing.
        assert entity_graph(
            [nouns | {f"only{at}"} for at, nouns in enumerate(text)]
        ) == pytest.approx(raw)
