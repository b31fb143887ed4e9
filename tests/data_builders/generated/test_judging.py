from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from data_builders.generated.judging import (
    CRITERIA,
    DISAGREES,
    NEITHER,
    TIE,
    UNSTATED,
    JudgeMonitor,
    Ranking,
    by_gold,
    combine,
    judge_statistics,
    neither_is_right,
)
from stemma.digests import digest_json
from stemma.errors import StageFailed
from stemma.generator.client import response_format


def ranking(overall: str, mark: str = "AB", **marks: str) -> Ranking:
    criteria = dict.fromkeys(CRITERIA, mark) | marks
    return Ranking.model_validate({"criteria": criteria, "overall": overall})


def test_rankings_are_read_strictly() -> None:
    whole: dict[str, Any] = {"criteria": dict.fromkeys(CRITERIA, "AB"), "overall": "tie"}
    assert Ranking.model_validate(whole).overall == "tie"
    wrong: list[dict[str, Any]] = [
        {**whole, "overall": "C"},
        {**whole, "overall": "AB"},
        {**whole, "why": "shorter"},
        {"overall": "A"},
        {**whole, "criteria": {"correctness": "A"}},
        {**whole, "criteria": {**whole["criteria"], "clarity": "tie"}},
    ]
    for value in wrong:
        with pytest.raises(ValidationError):
            Ranking.model_validate(value)


def test_the_gold_answer_decides_only_between_right_and_wrong() -> None:
    assert by_gold(True, False) == "A"
    assert by_gold(False, True) == "B"
    undecided = [(True, True), (False, False), (None, False), (True, None), (None, None)]
    assert [by_gold(*right) for right in undecided] == [None] * 5


def test_a_judge_that_prefers_the_same_answer_in_both_orders_is_believed() -> None:
    # The second order shows the answers the other way round: its B is the first one's A.
    verdict = combine(
        ranking("A", clarity="A", correctness="AB"), ranking("B", clarity="B", correctness="AB")
    )
    assert (verdict.winner, verdict.problem) == ("A", None)
    assert verdict.marks["overall"] == verdict.marks["clarity"] == "A/A"
    assert verdict.marks["correctness"] == "AB/AB"
    assert list(verdict.marks) == ["overall", *CRITERIA]
    assert combine(ranking("B"), ranking("A")).winner == "B"


@pytest.mark.parametrize(
    ("there", "back", "marks", "problem"),
    [
        ("A", "A", "A/B", DISAGREES),
        ("B", "B", "B/A", DISAGREES),
        ("A", "tie", "A/tie", DISAGREES),
        ("tie", "B", "tie/A", DISAGREES),
        ("tie", "tie", "tie/tie", TIE),
    ],
)
def test_a_judge_that_does_not_is_not(there: str, back: str, marks: str, problem: str) -> None:
    verdict = combine(ranking(there), ranking(back))
    assert (verdict.winner, verdict.problem) == (None, problem)
    assert verdict.marks["overall"] == marks


def test_the_first_order_may_settle_a_disagreement_but_not_its_own_tie() -> None:
    winners = [combine(ranking(a), ranking(b), "first_order").winner for a, b in ("AA", "BB")]
    assert winners == ["A", "B"]
    assert combine(ranking("tie"), ranking("B"), "first_order").problem == DISAGREES
    assert combine(ranking("tie"), ranking("tie"), "first_order").problem == TIE


def test_two_answers_that_are_wrong_in_both_orders_make_no_pair() -> None:
    wrong = combine(
        ranking("A", correctness="None"), ranking("B", correctness="None"), "first_order"
    )
    assert (wrong.winner, wrong.problem) == (None, NEITHER)
    assert combine(ranking("A", correctness="None"), ranking("B", correctness="B")).winner == "A"


def test_only_an_answer_that_states_the_gold_one_can_be_chosen() -> None:
    assert neither_is_right(False, False) == NEITHER
    assert {neither_is_right(None, other) for other in (None, False)} == {UNSTATED}
    assert {neither_is_right(True, other) for other in (True, None, False)} == {None}


def test_a_judge_without_eyes_is_told_apart_from_a_fair_one() -> None:
    monitor = JudgeMonitor()
    for _ in range(9):
        monitor.record(ranking("A"), ranking("A"))
    monitor.record(ranking("A"), ranking("B"))  # 20 verdicts, one unlike the others
    for _ in range(100):
        monitor.record(ranking("A"), ranking("A"))
    blind = JudgeMonitor()
    for _ in range(9):
        blind.record(ranking("tie"), ranking("tie"))
    with pytest.raises(StageFailed, match="all 20 verdicts are `a tie`"):
        blind.record(ranking("tie"), ranking("tie"))


def test_statistics_show_how_pairs_were_decided_and_the_judge_s_bias() -> None:
    agreed = combine(ranking("A", "A"), ranking("B", "B")).marks
    torn = combine(ranking("A", "A"), ranking("A", "A")).marks
    rows: list[dict[str, Any]] = [
        {"chosen": "a b c", "rejected": "a", "meta": {"decided": "gold", "chosen_first": False}},
        {
            "chosen": "a",
            "rejected": "b c",
            "meta": {"decided": "judge", "chosen_first": True, **agreed},
        },
        {"question": "q", "answers": ["a", "b"], "meta": {"decided": "judge", **torn}},  # dropped
        {"question": "q", "answers": ["a", "a"], "meta": {}},  # dropped before it was ranked
        {"prompt": "p", "chosen": "a", "rejected": "b"},  # of a source that judges nothing
    ]
    assert judge_statistics(rows) == {
        "pairs": 2,
        "by_gold": 1,
        "chosen_first": 0.5,
        "chosen_longer": 0.5,
        "ranked": 2,
        "agreement": dict.fromkeys(("overall", *CRITERIA), 0.5),
        "first_place": 0.75,  # agreed: once first, once second; torn: twice first
    }


def test_statistics_of_nothing_hold_no_share() -> None:
    nothing = judge_statistics([])
    assert (nothing["pairs"], nothing["ranked"], nothing["first_place"]) == (0, 0, None)


def test_the_judges_schema_is_the_one_that_earlier_rankings_were_paid_for() -> None:
    # A ranking's request holds the schema, docstrings included, and is its key in the ledger.
    assert {how: digest_json(response_format(Ranking, how)) for how in ("schema", "object")} == {
        "schema": "8f3b1640667d10ead10cec1f185e59c7bec8c5c8cd4a591559d00f5dea6baad9",
        "object": "e7ffad622d1b47e8f09d4981caab6d763c46e3d259d6e75e7fa96649de1873b8",
    }
