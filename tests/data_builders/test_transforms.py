from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from data_builders.transforms import (
    cap_per_question,
    chosen_and_rejected,
    drop_conflicts,
    drop_short,
    length_balance,
    mix,
    mix_counts,
    sample,
)
from stemma.rows import PreferenceRow
from tests.data_builders.placed_rows import accounted, mcq, pair, placed, sft, texts

OPTIONS = "\n\nOptions:\nA. {}\nB. {}"


def test_a_pair_needs_two_long_answers_and_a_conversation_one() -> None:
    rows = [
        pair("q", "one two three", "one two"),
        pair("q", "one two three", "four five six"),
        sft("a long question", "no"),
        sft("q", "it is three"),
        mcq("q", "x", "y"),
        placed("corpus", "", text="two words"),
    ]
    kept, dropped = drop_short(rows, 3)
    assert kept == [rows[1], rows[3], rows[4]]
    assert dropped == [(row, "answer under 3 words") for row in (rows[0], rows[2], rows[5])]


def test_a_question_keeps_so_many_rows_whatever_their_order() -> None:
    rows = [pair(question, f"c{n}", "r") for question in ("q", "p") for n in range(9)] + [
        pair("s", "c", "r")
    ]
    once = cap_per_question(rows, {"b": {"train": 4}}, 42)
    assert Counter(row.key for row in once[0]) == {"q": 4, "p": 4, "s": 1}
    assert accounted(rows, once)
    assert set(texts(once)) == set(texts(cap_per_question(rows[::-1], {"b": {"train": 4}}, 42)))
    assert texts(once) != texts(cap_per_question(rows, {"b": {"train": 4}}, 43))
    assert {reason for _, reason in once[1]} == {"more rows of its question than max_per_question"}


def test_a_cap_counts_the_rows_of_all_sources_of_the_set() -> None:
    rows = [pair("q", f"c{n}", "r", source=name) for n, name in enumerate("aaabbbuu")]
    once = cap_per_question(rows, {"a": {"train": 4}, "b": {"train": 4}}, 42)
    kept = Counter(row.source for row in once[0])
    assert kept["u"] == 2  # not capped, and counted first
    assert kept["a"] + kept["b"] == 2
    assert accounted(rows, once)
    mixed = Counter(
        row.source for row in cap_per_question(rows, {"a": {"train": 3}, "b": {"train": 5}}, 42)[0]
    )
    assert mixed["u"] == 2
    assert mixed["a"] <= 1
    assert mixed["a"] + mixed["b"] == 3
    assert len(cap_per_question(rows, {"a": {"train": 1}}, 42)[0]) == 5  # b and u fill it


def test_other_options_make_another_question_and_other_splits_are_not_capped() -> None:
    rows = [pair("Which is true?" + OPTIONS.format(n, "x"), "c", "r") for n in "abc"]
    assert cap_per_question(rows, {"b": {"train": 1}}, 42) == (rows, [])
    swapped = [pair("Which is true?" + OPTIONS.format(*two), "c", "r") for two in ("ax", "xa")]
    assert len(cap_per_question(swapped, {"b": {"train": 1}}, 42)[0]) == 1
    assert cap_per_question(swapped, {"b": {"test": 1}}, 42) == (swapped, [])


def test_a_sample_is_a_count_or_a_share_of_a_split() -> None:
    rows = [pair(f"q{n}", "c", "r", "test" if n < 10 else "train") for n in range(50)]
    kept, dropped = sample(rows, {"train": 0.25, "test": 7}, 42)
    assert Counter(row.split for row in kept) == {"train": 10, "test": 7}
    assert {row.key for row in kept} == {
        row.key for row in sample(rows[::-1], {"train": 0.25, "test": 7}, 42)[0]
    }
    assert {reason for _, reason in dropped} == {"not sampled"}
    assert sample(rows, {"train": 1000}, 42) == (rows, [])


def test_mixing_takes_shares_of_the_total() -> None:
    rows = [pair(f"q{n}", "c", "r", source="a" if n < 30 else "b") for n in range(60)]
    rows += [pair("t", "c", "r", "test", "a")]
    kept, dropped = mix(rows, {"a": 2.0, "b": 1.0}, 30, 42)
    assert Counter((row.source, row.split) for row in kept) == {
        ("a", "train"): 20,
        ("b", "train"): 10,
        ("a", "test"): 1,
    }
    assert {reason for _, reason in dropped} == {"beyond its share of the total"}
    assert accounted(rows, (kept, dropped))


@pytest.mark.parametrize(
    ("available", "weights", "total", "taken"),
    [
        ({"a": 99, "b": 99}, {"a": 3.0, "b": 1.0}, 40, {"a": 30, "b": 10}),
        ({"a": 5, "b": 99}, {"a": 3.0, "b": 1.0}, 40, {"a": 5, "b": 35}),
        (
            {"a": 5, "b": 99, "c": 99},
            {"a": 1.0, "b": 2.0, "c": 1.0},
            41,
            {"a": 5, "b": 24, "c": 12},
        ),
        ({"a": 5, "b": 8}, {"a": 1.0, "b": 1.0}, 40, {"a": 5, "b": 8}),
        ({"a": 9, "b": 9, "c": 9}, {"a": 1.0, "b": 1.0, "c": 1.0}, 10, {"a": 4, "b": 3, "c": 3}),
    ],
)
def test_a_short_source_gives_all_and_the_others_share_the_rest(
    available: dict[str, int], weights: dict[str, float], total: int, taken: dict[str, int]
) -> None:
    assert mix_counts(available, weights, total) == taken


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [("CO", "Co"), ("5 mW", "5 MW"), ("if x:\n    y = 1\n    z = 2", "if x:\n    y = 1\nz = 2")],
)
@pytest.mark.parametrize("rule", ["contradictions", "any"])
def test_answers_that_differ_in_case_or_indentation_contradict_nobody(
    chosen: str, rejected: str, rule: Any
) -> None:
    rows = [pair("q", chosen, rejected), pair("q", "something else", "nothing")]
    assert drop_conflicts(rows, rule) == (rows, [])
    turned = [*rows, pair("q", rejected, chosen)]
    assert [row for row, _ in drop_conflicts(turned, rule)[1]] == [rows[0], turned[2]]


PAIRS = [
    pair("q", "x", "y"),
    pair("q", " Y ", "X"),
    pair("q", "z", "x"),
    pair("q", "v", "w"),
    pair("p", "y", "x"),
]


def test_pairs_that_contradict_each_other_both_go() -> None:
    kept, dropped = drop_conflicts(PAIRS, "contradictions")
    assert kept == PAIRS[2:]
    assert dropped == [(row, "contradicted by another pair") for row in PAIRS[:2]]


def test_any_drops_every_pair_with_an_answer_chosen_here_and_rejected_there() -> None:
    kept, dropped = drop_conflicts(PAIRS, "any")
    assert kept == PAIRS[3:]
    assert {reason for _, reason in dropped} == {"an answer chosen here and rejected there"}
    assert drop_conflicts(PAIRS, "keep") == (PAIRS, [])
    assert chosen_and_rejected(PAIRS) == 2  # x and y, of q


def test_the_same_choices_with_two_right_ones_go() -> None:
    rows = [
        mcq("Why?", "x", "y", answer="A"),
        mcq("why", "Y", "x", answer="A"),
        mcq("Why?", "x", "z", answer="A"),
        mcq("How?", "x", "y"),
        mcq("How?", "y", "x", answer="B"),
    ]
    kept, dropped = drop_conflicts(rows, "contradictions")
    assert kept == rows[2:]
    assert dropped == [(row, "conflicting right answers") for row in rows[:2]]


def test_questions_whose_words_differ_in_case_have_their_own_right_answers() -> None:
    rows = [
        mcq("How many atoms has CO?", "1", "2", answer="B"),
        mcq("How many atoms has Co?", "1", "2", answer="A"),
        mcq("Is 5! above 100?", "yes", "no", answer="A"),
        mcq("Is 5 above 100?", "yes", "no", answer="B"),
        mcq("2*(3+4) is", "14", "10", answer="A"),
        mcq("2*3+4 is", "14", "10", answer="B"),
    ]
    assert drop_conflicts(rows, "contradictions") == (rows, [])


def test_length_balance_counts_words() -> None:
    rows = [
        pair("q", "a b c", "a"),
        pair("q", "a", "a b"),
        pair("q", "a b", "c d"),
        pair("q", "a b", "c"),
    ]
    found = length_balance([row.row for row in rows if isinstance(row.row, PreferenceRow)])
    assert found == {
        "n": 4,
        "chosen_longer": 0.5,
        "equally_long": 0.25,
        "mean_words_chosen": 2.0,
        "mean_words_rejected": 1.5,
    }
    assert length_balance([]) == {"n": 0}
