from __future__ import annotations

import json
import random
import time
from itertools import combinations, permutations

import pytest

from data_builders.filters.near_duplicates import (
    QuestionClusters,
    bands,
    same_question,
    shingles,
    sketches,
    telling,
)
from data_builders.split import question_key
from stemma import ROOT
from stemma.recipe.data import NearDuplicates

MATHQA = ROOT.parent / "shared" / "data" / "mathqa" / "test1000.jsonl"

RAISE = (
    "john makes $ 40 a week from his job he earns a raise and now makes $ 70 a week what is "
    "the % increase"
)
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
    plain = question_key(
        "Which of these statements about the kernel width of a smoother is true in every case?"
    )
    negated = question_key(
        "Which of these statements about the kernel width of a smoother is not true in every case?"
    )
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


def template(chance: random.Random, words: int) -> str:
    """One question with three slots."""
    who, what, why = (f"w{'abcdefghijklmnopqrst'[chance.randrange(words)] * 2}" for _ in range(3))
    return (
        f"{who} heats a long rod made of pure {what} over the flame of a burner and then "
        "drops it into cold water "
        f"that stands in a closed vessel to study {why} so how does the entropy of both "
        "change in the end"
    )


def plain_clusters(keys: list[str], threshold: float) -> set[frozenset[str]]:
    """Every pair that has a band in common is compared, and clusters are what can be reached."""
    settings = NearDuplicates(threshold=threshold)
    many, length = bands(settings)
    made = [
        sketch.hashvalues[: many * length].reshape(many, length)
        for sketch in sketches(keys, settings)
    ]
    clusters = {key: frozenset([key]) for key in keys}
    for (one, ours), (other, theirs) in combinations(zip(keys, made, strict=True), 2):
        if (ours == theirs).all(axis=1).any() and same_question(one, other, threshold):
            both = clusters[one] | clusters[other]
            clusters.update(dict.fromkeys(both, both))
    return set(clusters.values())


@pytest.mark.parametrize("threshold", [0.75, 0.8, 0.85, 0.9])
def test_clusters_are_those_of_comparing_every_pair(threshold: float) -> None:
    chance = random.Random(1)
    keys = sorted(
        {template(chance, 8) for _ in range(40)} | {f"{template(chance, 8)} 2" for _ in range(10)}
    )
    found = QuestionClusters(NearDuplicates(threshold=threshold))
    found.add(keys)
    groups: dict[str, set[str]] = {}
    for key in keys:
        groups.setdefault(found.of(key), set()).add(key)
    assert set(map(frozenset, groups.values())) == plain_clusters(keys, threshold)
    assert all(representative == min(group) for representative, group in groups.items())
    assert len(groups) > 1


@pytest.mark.slow
def test_questions_of_one_template_are_joined_in_linear_time() -> None:
    def seconds(many: int) -> float:
        chance = random.Random(1)
        keys = {template(chance, 20) for _ in range(many)}
        started = time.process_time()
        clusters(*keys)
        return time.process_time() - started

    seconds(100)
    assert seconds(6_000) < 6 * seconds(1_500)


@pytest.mark.skipif(not MATHQA.exists(), reason="the shared data is not here")
def test_of_48_generic_pairs_of_mathqa_one_has_the_same_numbers() -> None:
    keys = sorted(
        {question_key(json.loads(line)["problem"]) for line in MATHQA.open(encoding="utf-8")}
    )
    sets = [shingles(key) for key in keys]
    generic = sum(
        len(one & other) >= 0.8 * len(one | other)
        for place, one in enumerate(sets)
        for other in sets[:place]
        if 0.8 * len(one) <= len(other) <= len(one) / 0.8
    )
    found = clusters(*keys)
    assert (len(keys), generic) == (1000, 48)
    assert [key for key in keys if found.of(key) != key] == [max(RAISE, TYPO)]
