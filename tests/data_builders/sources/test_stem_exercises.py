from __future__ import annotations

from pathlib import Path
from typing import Any

from data_builders.flow import Draft, Kind
from data_builders.generated.exercises import exercises
from data_builders.sources.stem_exercises import Options, read
from tests.data_builders.small_recipe import make_context


def first(kind: Kind, root: Path, orders: int = 1, rows: int = 1) -> list[Any]:
    drafts = list(read(Options(source="stem_exercises", orders=orders), make_context(kind, root)))
    assert all(isinstance(draft, Draft) for draft in drafts)
    return [draft.row for draft in drafts[:rows]]


def test_every_set_asks_the_same_first_exercise(tmp_path: Path) -> None:
    exercise = exercises(42)[0]
    [sft] = first("sft", tmp_path)
    assert sft["messages"] == [
        {"role": "user", "content": exercise.question},
        {"role": "assistant", "content": exercise.answer},
    ]
    assert sft["meta"]["gold"] == exercise.answer
    [pair] = first("dpo", tmp_path)
    assert (pair["prompt"], pair["chosen"]) == (exercise.question, exercise.answer)
    assert pair["rejected"] in exercise.wrong
    [mcq] = first("mcq", tmp_path)
    assert sorted(mcq["choices"]) == sorted([exercise.answer, *exercise.wrong])
    assert mcq["choices"]["ABCD".index(mcq["answer"])] == exercise.answer


def test_right_letters_are_spread_evenly(tmp_path: Path) -> None:
    letters = [row["answer"] for row in first("mcq", tmp_path, rows=1000)]
    assert all(200 < letters.count(letter) < 300 for letter in "ABCD")


def test_a_corpus_text_is_plain_and_then_in_each_option_order(tmp_path: Path) -> None:
    exercise = exercises(42)[0]
    texts = [row["text"] for row in first("corpus", tmp_path, orders=2, rows=3)]
    assert texts[0] == f"Question: {exercise.question}\n\nAnswer: {exercise.answer}"
    for text in texts[1:]:
        assert text.startswith(f"Question: {exercise.question}\n\nOptions:\nA. ")
        letter = text[-1]
        assert f"\n{letter}. {exercise.answer}\n" in text
