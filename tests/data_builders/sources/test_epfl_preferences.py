from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from data_builders.filters.clean import finish
from data_builders.flow import Draft, Drop
from stemma.errors import UserError
from tests.data_builders.sources.reading import drops, read, rows

MCQ = "Question: What is 2 + 2?\n\nOptions:\nA. 3\nB. 4\nC. 5"


def compare(
    a: str | None, b: str | None, overall: str | None = "A", correctness: str = "A", **more: Any
) -> dict[str, Any]:
    criteria = {"overall": overall, "correctness": correctness, "relevance": "AB", "clarity": "B"}
    criteria |= {"completeness": "None", "other": "Conciseness: A", **more}
    return {"A": a, "B": b, "overall": overall, "criteria": criteria}


def released(text: str, *comparisons: dict[str, Any], number: int = 7) -> dict[str, Any]:
    return {
        "question_id": number,
        "question_complete": text,
        "course_id": 3,
        "preference": list(comparisons),
    }


def submitted(text: str, comparison: dict[str, Any]) -> dict[str, Any]:
    answers = {"A_chat_id": 11, "B_chat_id": 12, "A": comparison["A"], "B": comparison["B"]}
    return {
        "course_id": 3,
        "question_id": 7,
        "question": text,
        **answers,
        "ranking_criteria": comparison["criteria"],
    }


def read_all(
    kind: Any, root: Path, *questions: dict[str, Any], **options: Any
) -> list[Draft | Drop]:
    (root / "epfl.json").write_text(json.dumps(questions, indent=1))
    return read(kind, "epfl_preferences", root, "epfl.json", **options)


def test_both_forms_give_the_same_pairs_with_their_verdicts(tmp_path: Path) -> None:
    first = compare("good", "bad")
    second = compare("worse", "better", "B", "AB", modified=True)
    pair = {
        "prompt": "Why?",
        "chosen": "good",
        "rejected": "bad",
        "meta": {
            "course_id": 3,
            "epfl_question_id": 7,
            "overall": "A",
            "correctness": "A",
            "relevance": "AB",
            "clarity": "B",
            "completeness": "None",
        },
    }
    other = {**pair, "chosen": "better", "rejected": "worse"}
    other["meta"] = {**pair["meta"], "overall": "B", "correctness": "AB"}  # type: ignore[dict-item]
    from_release = read_all("dpo", tmp_path, released("Question: Why?", first, second))
    assert rows(from_release) == [pair, other]
    assert [item.where for item in from_release] == ["epfl.json:2 pair 1", "epfl.json:2 pair 2"]
    from_students = read_all("dpo", tmp_path, submitted("Why?", first), submitted("Why?", second))
    assert rows(from_students) == [pair, other]


def test_conversations_take_the_better_answers(tmp_path: Path) -> None:
    question = released("Question: Why?", compare("good", "bad"), compare("worse", "better", "B"))
    assert rows(read_all("sft", tmp_path, question)) == [
        {
            "messages": [
                {"role": "user", "content": "Why?"},
                {"role": "assistant", "content": answer},
            ],
            "meta": {"course_id": 3, "epfl_question_id": 7},
        }
        for answer in ("good", "better")
    ]


def test_comparisons_without_a_verdict_or_with_two_are_dropped(tmp_path: Path) -> None:
    differ = {**compare("a", "b"), "overall": "B"}
    items = read_all(
        "dpo",
        tmp_path,
        released("Why?", compare("a", "b", None), differ, compare("a", "b", "tie")),
        released("How?"),
    )
    assert [reason for _, reason in drops(items)] == [
        "no overall verdict",
        "overall verdicts differ",
        "no overall verdict",
        "no comparison",
    ]


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("...", "b", "empty answer"),
        (None, "b", "empty answer"),
        (" same", "same\n", "identical answers"),
        ("a<eos>", "b", "control token in content"),
        ("a", "b\x00", "control character in content"),
    ],
)
def test_dirty_answers_are_dropped_when_rows_are_finished(
    tmp_path: Path, a: Any, b: Any, reason: str
) -> None:
    [draft] = read_all("dpo", tmp_path, released("Why?", compare(a, b)))
    assert isinstance(draft, Draft)
    assert finish("dpo", "epfl_preferences", draft) == reason


def test_the_letter_is_what_distinct_correct_answers_agree_on(tmp_path: Path) -> None:
    question = released(
        MCQ,
        compare("It is 4.\n\nAnswer: B", "x"),
        compare("It is 4.\n\nAnswer: B", "y"),  # the same answer is no second vote
        compare("z", "The correct answer is B.", "B", "AB"),
        compare("The answer is A.", "x"),
        compare("The answer is C.", "x", "A", "None"),  # judged incorrect
        compare("I cannot say.", "x"),
    )
    [row] = rows(read_all("mcq", tmp_path, question))
    assert row == {
        "question": "What is 2 + 2?",
        "choices": ["3", "4", "5"],
        "answer": "B",
        "meta": {"course_id": 3, "epfl_question_id": 7, "votes": 2, "voters": 3},
    }
    assert drops(read_all("mcq", tmp_path, question, agreement=0.7)) == [
        ("epfl.json:2", "no agreed letter")
    ]
    assert drops(read_all("mcq", tmp_path, question, votes=3)) == [
        ("epfl.json:2", "no agreed letter")
    ]


def test_submissions_of_a_question_vote_together(tmp_path: Path) -> None:
    votes = [compare("The answer is B.", "x"), compare("x", "Answer: B", "B", "B")]
    items = read_all(
        "mcq", tmp_path, *(submitted(MCQ, vote) for vote in votes), submitted("Why?", votes[0])
    )
    assert [row["answer"] for row in rows(items)] == ["B"]
    assert [reason for _, reason in drops(items)] == ["not a multiple-choice question"]
    assert [reason for _, reason in drops(read_all("mcq", tmp_path, submitted(MCQ, votes[0])))] == [
        "no agreed letter"
    ]


def test_another_shape_is_refused_by_line(tmp_path: Path) -> None:
    wrong = [compare("a", "b", mood="good"), compare("a", "b", correctness="yes")]
    with pytest.raises(UserError) as caught:
        read_all("dpo", tmp_path, released("Why?", *wrong))
    assert [problem.found for problem in caught.value.problems] == [
        "preference.0.criteria.mood: Extra inputs are not permitted",
        "preference.1.criteria.correctness: Input should be 'A', 'B', 'AB' or 'None'",
    ]
    assert caught.value.problems[0].where == f"{tmp_path}/epfl.json:2"
