from __future__ import annotations

import json
from itertools import permutations

import pytest

from data_builders.near_duplicates import QuestionClusters, same_question, shingles, sketches, telling
from data_builders.split import question_key
from stemma import ROOT
from stemma.data_section import NearDuplicates

MATHQA = ROOT.parent / "shared" / "data" / "mathqa" / "test1000.jsonl"

RAISE = "john makes $ 40 a week from his job he earns a raise and now makes $ 70 a week what is the % increase"
TYPO = RAISE.replace("and now", "andnow")
OTHER_NUMBERS = RAISE.replace("70", "80")


def clusters(*keys: str) -> QuestionClusters:
    found = QuestionClusters(NearDuplicates())
    found.add(keys)
    return found


def test_shingles_are_words_and_neighbours() -> None:
    assert shingles("a b a") == {"a", "b", "a b", "b a"}


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("A train of 60 m passes in three hours.", ["3", "60"]),
        ("Which is NOT true?", ["not"]),
        ("What is 3 - 4?", ["-", "3", "4"]),
        ("Is x < 1.5?", ["1.5", "<"]),
        ("Write a C++ function for a 5-year-old", ["5"]),
        ("Which one of these?", []),
    ],
)
def test_numbers_negations_and_signs_beside_numbers_tell(question: str, found: list[str]) -> None:
    assert telling(question_key(question)) == found


def test_the_exact_comparison_is_jaccard_at_the_threshold() -> None:
    # {a, b, c, a b, b c} and {a, b, a b}: 3 of 5
    assert same_question("a b c", "a b", 0.6)
    assert not same_question("a b c", "a b", 0.61)
    assert not same_question(RAISE, OTHER_NUMBERS, 0.1)


def test_a_typo_joins_and_other_numbers_do_not() -> None:
    found = clusters(RAISE, TYPO, OTHER_NUMBERS)
    assert found.of(TYPO) == found.of(RAISE) == min(RAISE, TYPO)
    assert found.of(OTHER_NUMBERS) == OTHER_NUMBERS


def test_a_negated_question_is_another_question() -> None:
    plain = question_key("Which of these statements about the kernel width of a smoother is true in every case?")
    negated = question_key("Which of these statements about the kernel width of a smoother is not true in every case?")
    assert clusters(plain, negated).of(negated) == negated


def test_without_settings_every_question_stands_alone() -> None:
    found = QuestionClusters(None)
    found.add([RAISE, TYPO])
    assert found.of(TYPO) == TYPO


CHAIN = ["a b c d e f g h i j", "a b c d e f g h i k", "z b c d e f g h i k"]
"""Neighbours share 17 of 21 shingles (0.81), the ends 15 of 23 (0.65)."""


def test_clusters_do_not_depend_on_the_order() -> None:
    assert not same_question(CHAIN[0], CHAIN[2], 0.75)
    for order in permutations(CHAIN):
        found = QuestionClusters(NearDuplicates(threshold=0.75))
        found.add(order)
        assert [found.of(key) for key in CHAIN] == [CHAIN[0]] * 3


def test_a_representative_stays_when_more_questions_come() -> None:
    found = QuestionClusters(NearDuplicates(threshold=0.75))
    found.add([CHAIN[2]])
    found.add([CHAIN[0]])
    found.add([CHAIN[1]])  # resembles both, and joins one of them without uniting them
    assert [found.of(key) for key in CHAIN] == [CHAIN[0], CHAIN[0], CHAIN[2]]


def test_the_sketch_of_a_question_does_not_change() -> None:
    one, other = sketches([RAISE, OTHER_NUMBERS], NearDuplicates(permutations=16))
    (again,) = sketches([RAISE], NearDuplicates(permutations=16))
    assert one.digest().tolist() == again.digest().tolist()
    assert one.jaccard(other) == 0


@pytest.mark.skipif(not MATHQA.exists(), reason="the shared data is not here")
def test_of_47_generic_pairs_of_mathqa_one_has_the_same_numbers() -> None:
    keys = sorted({question_key(json.loads(line)["problem"]) for line in MATHQA.open(encoding="utf-8")})
    sets = [shingles(key) for key in keys]
    generic = sum(
        len(one & other) >= 0.8 * len(one | other)
        for place, one in enumerate(sets)
        for other in sets[:place]
        if 0.8 * len(one) <= len(other) <= len(one) / 0.8
    )
    found = clusters(*keys)
    assert (len(keys), generic) == (1000, 47)
    assert [key for key in keys if found.of(key) != key] == [max(RAISE, TYPO)]
