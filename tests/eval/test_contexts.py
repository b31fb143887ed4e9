"""Rows with passages before their questions: made once, kept by content, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.contexts import drawn, rows_in_context
from eval.questions_asked import bare_stem_of, in_context, user_turn
from eval.rows_to_score import RowsToScore, read_task
from eval.tasks import TASKS
from stemma.errors import UserError
from stemma.jsonl import write_jsonl
from stemma.retrieval.passages import Passage
from stemma.rows import McqRow, Message, PreferenceRow, SftRow, mcq_prompt
from stemma.templates import answered
from tests.eval.encyclopaedia import passages, retrieval


def mcq(number: int, passage: str | None = None) -> McqRow:
    return McqRow(
        id=f"m{number}",
        source="toy",
        question=f"What is {number} + 1?",
        choices=[f"{number + k}" for k in range(4)],
        answer="B",
        meta={"passage": passage} if passage else {},
    )


def rows_of(tmp_path: Path, rows: list[McqRow]) -> RowsToScore:
    path = tmp_path / "test.jsonl"
    write_jsonl(path, rows)
    return read_task(TASKS["mcq"], "mcq", path, None)


def test_a_question_stands_behind_its_passages_and_keeps_its_options(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [mcq(3, "sum-3")])
    found = rows_in_context(retrieval(), "mcq", "retrieved", rows, tmp_path)
    assert found
    [row] = found.rows.rows
    asked = mcq_prompt(row)
    assert asked.endswith(mcq_prompt(mcq(3)))
    assert "> With 3 the sum 3 + 1 is 4" in asked
    assert row.choices == mcq(3).choices
    [context] = found.contexts
    assert context.query == "What is 3 + 1?"
    assert context.gold == ["sum-3"]
    assert [one.id for one in context.passages] == ["sum-2", "sum-3"]
    assert context.passages[0].score == context.passages[0].bm25 == 3.0  # is, 3, 1
    assert context.tokens == len(asked.split()) - len(mcq_prompt(mcq(3)).split())


def test_the_gold_arm_leaves_out_rows_without_a_passage_of_their_own(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [mcq(1), mcq(2, "sum-2"), mcq(3, "nowhere"), mcq(4, "sum-4 sum-5")])
    found = rows_in_context(retrieval(), "mcq", "gold", rows, tmp_path)
    assert found
    assert list(found.rows.digests) == ["m2", "m4"]
    assert found.left_out == 2
    assert [[one.id for one in context.passages] for context in found.contexts] == [
        ["sum-2"],
        ["sum-4", "sum-5"],
    ]
    assert all(one.score is None for context in found.contexts for one in context.passages)
    none = rows_of(tmp_path, [mcq(1)])
    assert rows_in_context(retrieval(), "mcq", "gold", none, tmp_path) is None


def test_passages_by_chance_are_the_same_each_time_and_never_the_questions_own() -> None:
    made = retrieval(passages(4), most=3)
    own = [passages(4)[2]]
    first = drawn(made, "What is 2 + 1?", own)
    assert first == drawn(made, "What is 2 + 1?", own)
    assert {one.id for one in first} == {"sum-0", "sum-1", "sum-3"}
    many = {tuple(one.id for one in drawn(made, f"What is {n}?", own)) for n in range(20)}
    assert len(many) > 1, "another question draws others"


def test_what_was_made_is_read_the_second_time_and_another_database_is_another(
    tmp_path: Path,
) -> None:
    rows = rows_of(tmp_path, [mcq(3)])
    searched: list[int] = []
    made = retrieval()

    def counting(queries: list[str], k: int, arm: str | None) -> list[object]:
        searched.append(len(queries))
        return made.search(queries, k, arm)  # type: ignore[return-value]

    counted = retrieval(search=counting)
    first = rows_in_context(counted, "mcq", "retrieved", rows, tmp_path)
    again = rows_in_context(counted, "mcq", "retrieved", rows, tmp_path)
    assert first == again
    assert searched == [1]
    other = rows_in_context(
        retrieval(search=counting, decides={"database": "x"}), "mcq", "retrieved", rows, tmp_path
    )
    assert searched == [1, 1]
    assert other is not None
    assert first is not None
    assert other.path != first.path


def test_a_row_that_nothing_was_found_for_is_the_closed_book_row(tmp_path: Path) -> None:
    """Measured once for both: samples are kept by a row's content."""
    rows = rows_of(tmp_path, [mcq(3)])
    nothing = retrieval(search=lambda queries, _k, _arm: [[] for _ in queries])
    found = rows_in_context(nothing, "mcq", "retrieved", rows, tmp_path)
    assert found
    assert found.rows.digests == rows.digests
    assert found.contexts[0].passages == []


def test_a_file_that_was_cut_off_or_changed_is_made_again(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [mcq(3), mcq(4)])
    found = rows_in_context(retrieval(), "mcq", "random", rows, tmp_path)
    assert found
    text = found.path.read_text(encoding="utf-8")
    damaged = [text.splitlines(keepends=True)[0], text.replace('"answer": "B"', '"answer": "A"')]
    for changed in damaged:
        assert changed != text
        found.path.write_text(changed, encoding="utf-8")
        again = rows_in_context(retrieval(), "mcq", "random", rows, tmp_path)
        assert again == found
        assert found.path.read_text(encoding="utf-8") == text


def test_each_kind_of_row_is_asked_with_its_passages() -> None:
    sft = SftRow(
        id="s", source="toy", messages=answered("Q? (A) x (B) y (C) z", "x"), meta={"gold": "x"}
    )
    assert bare_stem_of(sft) == "Q?"
    changed = in_context(sft, "P\n\nQ? (A) x (B) y (C) z")
    assert changed.messages[0].content == "P\n\nQ? (A) x (B) y (C) z"
    assert changed.meta == {"gold": "x", "asked": "Q? (A) x (B) y (C) z"}
    turns = [
        Message(role="user", content="First?"),
        Message(role="assistant", content="Yes."),
        Message(role="user", content="Second?"),
    ]
    pair = PreferenceRow(
        id="p",
        source="toy",
        question_id="q",
        prompt="First?\n\nYes.\n\nSecond?",
        turns=turns,
        chosen="a",
        rejected="b",
    )
    assert user_turn(pair) == "Second?"
    changed_pair = in_context(pair, "P\n\nSecond?")
    assert changed_pair.turns[-1].content == "P\n\nSecond?"
    assert changed_pair.prompt == "First?\n\nYes.\n\nP\n\nSecond?"
    with pytest.raises(UserError, match="writes something behind the question"):
        in_context(mcq(3), f"{mcq_prompt(mcq(3))}\n\nNow answer.")


def test_options_that_a_passage_lists_are_not_the_questions(tmp_path: Path) -> None:
    from eval.tasks.generation import bare_question
    from stemma.answers.listed_options import split_options

    row = SftRow(id="s", source="toy", messages=answered("What melts?", "ice"))
    planted = "A quiz.\nOptions:\nA. stone\nB. iron\nC. gold\n\nWhat melts?"
    changed = in_context(row, planted)
    assert split_options(changed.messages[0].content)[1], "the passage does list some"
    assert split_options(bare_question(changed))[1] == ()


def test_a_support_is_a_passage_of_its_own_and_found_by_its_words(tmp_path: Path) -> None:
    support = "Plants take in carbon dioxide and water, and give off oxygen in sunlight."
    row = mcq(1).model_copy(update={"meta": {"support": support}})
    gold = retrieval().gold
    [own] = gold.of(row)
    assert own.text == support

    def passage(text: str) -> Passage:
        return Passage("x", "", text, "sciq", "")

    assert gold.is_own(passage("plants take in  Carbon dioxide and water, and give"), [own])
    assert gold.is_own(passage(f"Before. {support} Behind."), [own])
    assert not gold.is_own(passage("Plants take in"), [own]), "three words are of any place"
    assert not gold.is_own(passage("Plants take in helium and water, and give off oxygen"), [own])


def test_pieces_of_a_questions_support_are_not_drawn_by_chance() -> None:
    piece = "Heat flows from the hot to the cold body alone."
    support = Passage("support of q", "", f"{piece} It never flows back by itself.", "toy", "")
    entries = [Passage("piece", "", piece, "toy", ""), Passage("ice", "", "Ice.", "toy", "")]
    made = retrieval(entries=entries)
    for number in range(20):
        assert [one.id for one in drawn(made, f"q{number}", [support])] == ["ice"]
