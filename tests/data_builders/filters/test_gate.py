from __future__ import annotations

from typing import Any

import pytest

from data_builders.filters.gate import (
    DecontaminationGate,
    evaluation_of,
    leak_of,
    read_benchmarks,
    tell_leak,
)
from data_builders.flow import CleanRow, Draft, Placed
from data_builders.split import question_id, question_key
from stemma.errors import StageFailed, UserError
from stemma.rows import McqRow, PreferenceRow, Split
from tests.data_builders.small_recipe import make_recipe, write_lines

STEM = "Which of these four bodies is the heaviest"


def placed(identity: str, stem: str, split: Split, *choices: str) -> Placed:
    row = McqRow(
        id=identity, source="s", question=stem, choices=list(choices or ("a", "b")), answer="A"
    )
    key = question_key(stem)
    clean = CleanRow(f"mcq: m {split}.jsonl", "mcq", key, Draft("w", stem, {}), row)
    return clean.placed(split, key, fixed=True)


def gate(**settings: Any) -> DecontaminationGate:
    return DecontaminationGate(
        make_recipe(
            {"decontaminate": settings, "mcq": {"sources": [{"source": "stem_exercises"}]}}
        ).data,
        [],
    )


ROWS = [
    placed("t1", STEM, "test"),
    placed("r1", STEM, "train"),
    placed("r2", STEM + "?", "train", "x", "y"),
    placed("r3", "What else?", "train"),
    placed("v1", STEM, "validation"),
]
ANSWERS = {"chosen": "a", "rejected": "b"}
ID = question_id(STEM)
FOUND = {
    "r1": "overlaps with mcq test: m test.jsonl (stem and options)",
    "r2": "overlaps with mcq test: m test.jsonl (stem)",
}


def test_only_training_rows_are_looked_at_and_the_strongest_rule_is_told() -> None:
    one = gate(mode="drop")
    assert one.examine(ROWS) == FOUND
    assert one.summary() == {"mode": "drop", "questions": {"mcq test: m test.jsonl": 1}, "rows": 2}


def test_up_to_the_limit_rows_stay_and_are_reported() -> None:
    one = gate(limit=2)
    assert one.examine(ROWS) == {}
    assert one.summary()["rows"] == 2
    with pytest.raises(
        UserError, match=r"2 training rows overlap(.|\n)*at most 1 \(data\.decontaminate\.limit\)"
    ):
        gate(limit=1).examine(ROWS)


def test_a_build_in_which_a_test_question_trains_fails_and_names_it() -> None:
    apart = [
        placed("t1", STEM, "test"),
        placed("r1", "What else?", "train"),
        placed("v1", STEM, "validation"),
    ]
    gate().prove_apart(apart)
    with pytest.raises(StageFailed, match=rf"^2 test questions train: {ID} \(r2\), q-\w+ \(r4\)$"):
        gate().prove_apart(
            [
                *ROWS[:1],
                ROWS[2],
                placed("t4", "Why heat?", "test"),
                placed("r4", "why heat", "train"),
            ]
        )


def test_generic_questions_with_other_options_are_others() -> None:
    rows = [
        placed("t1", "Which is true?", "test", "x", "y"),
        placed("r1", "Which is true?", "train", "x", "z"),
    ]
    assert gate().examine(rows) == {}
    gate().prove_apart(rows)
    with pytest.raises(StageFailed, match="1 test questions train"):
        gate().prove_apart([*rows, placed("r2", "Which is true?", "train", "Y", "x")])


def test_rows_that_the_recipe_lets_stay_do_not_fail_the_build() -> None:
    one = gate(limit=2)
    one.examine(ROWS)
    one.prove_apart(ROWS)


def by_pair(identity: str, question: str, split: Split) -> Placed:
    row = PreferenceRow(
        id=identity, source="s", question_id=question_id(question), prompt=question, **ANSWERS
    )
    key = question_key(question)
    clean = CleanRow("dpo: p", "dpo", key, Draft("w", question, {}), row)
    return clean.placed(split, key, fixed=False, by_pair=True)


PAIRS = [
    by_pair("p1", STEM, "train"),
    by_pair("p2", STEM, "test"),
    by_pair("p3", "What else is heavy?", "test"),
]


def test_in_a_set_split_by_pair_and_nowhere_else_its_test_questions_train() -> None:
    one = gate(mode="drop")
    assert one.examine(PAIRS) == {}
    one.prove_apart(PAIRS)
    other = placed("r1", STEM, "train")
    assert one.examine([*PAIRS, other]) == {"r1": "overlaps with dpo test: p (stem)"}
    with pytest.raises(StageFailed, match=r"1 test questions train: q-\w+ \(r1\)"):
        gate().prove_apart([*PAIRS, other])


def test_pairs_split_by_pair_hold_no_question_of_another_set() -> None:
    rows = [*PAIRS, placed("t1", STEM, "test")]
    assert gate(mode="drop").examine(rows) == {"p1": "overlaps with mcq test: m test.jsonl (stem)"}
    with pytest.raises(StageFailed, match=r"1 test questions train: q-\w+ \(p1\)"):
        gate().prove_apart(rows)


def test_the_leak_of_a_split_by_pair_is_counted_and_told() -> None:
    leak = leak_of([*PAIRS, by_pair("p4", STEM, "test"), *ROWS])
    assert leak == {
        "train_questions": 1,
        "test_questions": 2,
        "shared_questions": 1,
        "test_pairs": 3,
        "leaked_test_pairs": 2,
    }
    assert tell_leak(leak).startswith(
        "split by pair: 1 of 2 test questions train too, with 2 of 3 test pairs "
        "(near-duplicates are one"
    )
    assert leak_of(ROWS) == {}


def test_without_the_section_nothing_is_looked_for() -> None:
    data = make_recipe(
        {"decontaminate": None, "mcq": {"sources": [{"source": "stem_exercises"}]}}
    ).data
    one = DecontaminationGate(data, [])
    assert one.examine(ROWS) == {}
    assert not one.watch(ROWS)(STEM)
    one.prove_apart(ROWS)
    assert one.summary() == {"mode": "off", "questions": {}, "rows": 0}


def test_a_test_part_is_named_by_its_set_and_source() -> None:
    assert [(question.eval_set, question.id) for question in evaluation_of(ROWS)] == [
        ("mcq test: m test.jsonl", "t1")
    ]


def test_benchmarks_are_read_for_their_questions_and_options(tmp_path: Any) -> None:
    rows = [
        {
            "subject": None,
            "question": f"Question: {STEM} {n}?\n\nOptions:\nA. x\nB. y\n\nAnswer:",
            "answer": "A",
        }
        for n in range(3)
    ]
    write_lines(tmp_path / "b.jsonl", *rows)
    against = [{"source": "mcq_jsonl", "path": "b.jsonl", "limit": 2}]
    sets = {"mcq": {"sources": [{"source": "stem_exercises"}]}}
    data = make_recipe({"root": str(tmp_path), "decontaminate": {"against": against}, **sets}).data
    found = read_benchmarks(data, 42, lambda _: None)
    assert [(q.eval_set, q.id, q.stem, q.choices) for q in found] == [
        ("mcq_jsonl b.jsonl", f"b.jsonl:{n + 1}", f"{STEM} {n}?", ("x", "y")) for n in range(2)
    ]
