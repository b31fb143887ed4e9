"""Verdicts on variants against merged, by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import binomtest

from eval.task import TaskScores
from eval.verdicts import differences, flips, verdicts, write
from stemma.comparisons import Comparison, Flip, Verdicts
from stemma.jsonl import read_dicts, read_json
from stemma.recipe.evaluation import EvalSection

SECTION = EvalSection.model_validate(
    {"variants": ["merged"], "tasks": [{"task": "mcq"}, {"task": "preference"}], "reference": "sft"}
)


def answers(right: str, **groups: str) -> TaskScores:
    """`1` for each row that is right, `0` for each that is wrong."""
    return TaskScores(
        [], [], {"accuracy": {str(i): one == "1" for i, one in enumerate(right)}}, {}, groups
    )


def against(merged: str, **variants: str) -> Verdicts:
    scored = {"merged": {"mcq": answers(merged)}}
    return verdicts(scored | {name: {"mcq": answers(a)} for name, a in variants.items()}, SECTION)


def only(found: Verdicts) -> Comparison:
    [comparison] = found.comparisons
    return comparison


def test_a_comparison_by_hand() -> None:
    found = only(against("1110", q4="1001"))
    assert (found.n, found.questions, found.worth) == (4, 4, 4)
    assert (found.lost, found.gained, found.difference) == (2, 1, -0.25)
    assert found.p == found.p_holm == pytest.approx(1.0)  # 2 * (1 + 3) / 8
    assert -1 <= found.low < found.at_least < -0.25 < found.at_most < found.high <= 1


def test_equal_answers_are_no_proof_of_no_difference() -> None:
    few = against("1" * 148, q8="1" * 148)
    assert (only(few).verdict, only(few).difference, only(few).p) == ("not shown", 0.0, 1.0)
    assert only(few).low < -0.02 < 0.02 < only(few).high
    # None of 148 changed: as if one had, (1.645 + 0.842)^2 / 148 / 0.02^2 = 104.5; 149 rule a loss
    # of 2 % out where none is seen.
    assert only(few).needed == 149
    assert few.files[0].reason == (
        "mcq accuracy: +0.000, at least −0.020, n = 148; about 149 questions would show it"
    )
    enough = against("1" * 149, q8="1" * 149)
    assert (only(enough).verdict, only(enough).needed) == ("non-inferior", None)
    assert enough.files[0].verdict == "non-inferior"


def test_a_loss_is_worse_or_inferior_by_what_it_rules_out() -> None:
    # Of 400 questions 12 lost, none gained: 3 points down, p = 2 / 2^12; the margin is inside.
    worse = only(against("1" * 400, q4="0" * 12 + "1" * 388))
    assert worse.at_most > -0.02 > worse.at_least
    assert worse.p == pytest.approx(2 / 2**12)
    assert worse.verdict == "worse"
    # 40 lost: 10 points down, and 2 are out of reach.
    inferior = only(against("1" * 400, q2="0" * 40 + "1" * 360))
    assert (inferior.verdict, inferior.at_most < -0.02) == ("inferior", True)
    # 5 lost: p = 0.0625, and a loss of 2 points is possible.
    assert only(against("1" * 400, q5="0" * 5 + "1" * 395)).verdict == "not shown"


def test_a_small_loss_that_is_certain_may_be_within_the_margin() -> None:
    # 15 of 4,000 lost, none gained: worse beyond doubt, by at most 1 point.
    found = only(against("1" * 4000, q6="0" * 15 + "1" * 3985))
    assert (found.p < 1e-3, found.verdict) == (True, "non-inferior")


def test_holm_corrects_over_the_variants_of_a_task() -> None:
    found = against("1" * 40, q2="0" * 8 + "1" * 32, q4="0" * 6 + "1" * 34, q8="1" * 40)
    p = {one.variant: (one.p, one.p_holm) for one in found.comparisons}
    alone = {"q2": binomtest(0, 8).pvalue, "q4": binomtest(0, 6).pvalue, "q8": 1.0}
    assert p["q2"] == pytest.approx((alone["q2"], 3 * alone["q2"]))
    assert p["q4"] == pytest.approx((alone["q4"], 2 * alone["q4"]))
    assert p["q8"] == (1.0, 1.0)


def test_rows_of_one_question_count_together() -> None:
    groups = {str(i): "q" if i < 3 else "r" for i in range(4)}
    pairs, before = answers("1111"), answers("0000")
    scored = {
        "merged": {"preference": replace(before, groups=groups)},
        "dpo": {"preference": replace(pairs, groups=groups)},
    }
    found = only(verdicts(scored, SECTION))
    # Sums 3 + 1, 3 - 1, 1 - 3, -3 - 1: two of four are 4 from zero. All rows changed alike, so each
    # question is worth one row: n^2 over n = (9 + 1) / 4 rows, and 4 / 2.5 = 1.6.
    assert found.p == pytest.approx(0.5)
    assert (found.n, found.questions, found.worth) == (4, 2, 1)
    [file] = verdicts(scored, SECTION).files
    assert ", n = 4 of 2 questions; about " in file.reason
    alone = {
        name: {"preference": replace(one["preference"], groups={})} for name, one in scored.items()
    }
    assert only(verdicts(alone, SECTION)).p == pytest.approx(2 / 16)


def test_the_gravest_task_decides_over_a_file() -> None:
    many = answers("1" * 200)
    scored = {
        "merged": {"mcq": many, "preference": many},
        "q8": {"mcq": many, "preference": answers("0" * 40 + "1" * 160)},
        "q4": {"mcq": many, "preference": answers("0" + "1" * 199)},
    }
    files = {one.variant: one for one in verdicts(scored, SECTION).files}
    assert {name: one.verdict for name, one in files.items()} == {
        "q8": "inferior",
        "q4": "not shown",
    }
    assert files["q8"].reason.startswith("preference accuracy: −0.200, at least ")


def test_the_reference_is_not_judged_by_its_rewards() -> None:
    """They are zero, by definition: a tie is not right."""
    scored = {
        "merged": {"preference": answers("1111"), "mcq": answers("1")},
        "sft": {"preference": answers("0000"), "mcq": answers("1")},
    }
    assert [(one.variant, one.task) for one in verdicts(scored, SECTION).comparisons] == [
        ("sft", "mcq")
    ]
    assert flips(scored, "sft") == []


def test_without_merged_nothing_is_compared() -> None:
    found = verdicts({"gguf-F16": {"mcq": answers("10")}}, SECTION)
    assert (found.comparisons, found.files) == ([], [])
    assert flips({"gguf-F16": {"mcq": answers("10")}}, "sft") == []


def test_flips_name_the_variants_of_each_row(tmp_path: Path) -> None:
    scored = {
        "merged": {"mcq": answers("110")},
        "q8": {"mcq": answers("100")},
        "q4": {"mcq": answers("101")},
    }
    found = flips(scored, "sft")
    assert found == [
        Flip(
            task="mcq",
            metric="accuracy",
            id="1",
            question="1",
            merged_right=True,
            flipped=["q8", "q4"],
        ),
        Flip(
            task="mcq", metric="accuracy", id="2", question="2", merged_right=False, flipped=["q4"]
        ),
    ]
    judged = verdicts(scored, SECTION)
    assert write(tmp_path, judged, found) == {"verdicts": "verdicts.json", "flips": "flips.jsonl"}
    assert Verdicts.model_validate(read_json(tmp_path / "verdicts.json")) == judged
    assert [Flip.model_validate(row) for row in read_dicts(tmp_path / "flips.jsonl")] == found


def test_scores_of_a_comparison() -> None:
    found = against("1110", q4="1001")
    difference, p, corrected = differences(found)
    assert (difference.metric, difference.value, difference.n) == (
        "accuracy_minus_merged",
        -0.25,
        4,
    )
    assert (difference.low, difference.high) == (only(found).low, only(found).high)
    assert difference.samples == "samples/q4/mcq.jsonl"
    assert (p.metric, p.value) == ("accuracy_minus_merged_p", 1.0)
    assert (corrected.metric, corrected.low) == ("accuracy_minus_merged_p_holm", None)
