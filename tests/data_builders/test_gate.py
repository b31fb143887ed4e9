from __future__ import annotations

from typing import Any

import pytest

from data_builders.drafts import Draft, Placed
from data_builders.gate import Gate, evaluation_of, read_benchmarks
from data_builders.split import question_id, question_key
from stemma.errors import StageFailed, UserError
from stemma.rows import McqRow, Split
from tests.data_builders.small_recipe import make_recipe, write_lines

STEM = "Which of these four bodies is the heaviest"


def placed(identity: str, stem: str, part: Split, *choices: str) -> Placed:
    row = McqRow(id=identity, source="s", question=stem, choices=list(choices or ("a", "b")), answer="A")
    key = question_key(stem)
    return Placed(f"mcq: m {part}.jsonl", "mcq", part, key, key, True, Draft("w", stem, {}), row)


def gate(**settings: Any) -> Gate:
    return Gate(make_recipe({"decontaminate": settings, "mcq": {"sources": [{"source": "stem_exercises"}]}}).data, [])


ROWS = [
    placed("t1", STEM, "test"),
    placed("r1", STEM, "train"),
    placed("r2", STEM + "?", "train", "x", "y"),
    placed("r3", "What else?", "train"),
    placed("v1", STEM, "validation"),
]
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
    with pytest.raises(UserError, match=r"2 training rows overlap(.|\n)*at most 1 \(data\.decontaminate\.limit\)"):
        gate(limit=1).examine(ROWS)


def test_a_build_in_which_a_test_question_trains_fails_and_names_it() -> None:
    apart = [placed("t1", STEM, "test"), placed("r1", "What else?", "train"), placed("v1", STEM, "validation")]
    gate().prove_apart(apart)
    with pytest.raises(StageFailed, match=rf"^2 test questions train: {ID} \(r2\), q-\w+ \(r4\)$"):
        gate().prove_apart([*ROWS[:1], ROWS[2], placed("t4", "Why heat?", "test"), placed("r4", "why heat", "train")])


def test_generic_questions_with_other_options_are_others() -> None:
    rows = [placed("t1", "Which is true?", "test", "x", "y"), placed("r1", "Which is true?", "train", "x", "z")]
    assert gate().examine(rows) == {}
    gate().prove_apart(rows)
    with pytest.raises(StageFailed, match="1 test questions train"):
        gate().prove_apart([*rows, placed("r2", "Which is true?", "train", "Y", "x")])


def test_rows_that_the_recipe_lets_stay_do_not_fail_the_build() -> None:
    one = gate(limit=2)
    one.examine(ROWS)
    one.prove_apart(ROWS)


def test_without_the_section_nothing_is_looked_for() -> None:
    data = make_recipe({"decontaminate": None, "mcq": {"sources": [{"source": "stem_exercises"}]}}).data
    one = Gate(data, [])
    assert one.examine(ROWS) == {}
    assert not one.watch(ROWS)(STEM)
    one.prove_apart(ROWS)
    assert one.summary() == {"mode": "off", "questions": {}, "rows": 0}


def test_a_test_part_is_named_by_its_set_and_source() -> None:
    assert [(question.eval_set, question.id) for question in evaluation_of(ROWS)] == [("mcq test: m test.jsonl", "t1")]


def test_benchmarks_are_read_for_their_questions_and_options(tmp_path: Any) -> None:
    rows = [
        {"subject": None, "question": f"Question: {STEM} {n}?\n\nOptions:\nA. x\nB. y\n\nAnswer:", "answer": "A"}
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
