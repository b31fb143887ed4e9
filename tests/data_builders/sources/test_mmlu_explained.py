from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from data_builders.filters.clean import finish
from data_builders.flow import Draft, Drop
from data_builders.generated.candidates import HELD_OUT
from data_builders.scripted.faults import Faults, Json
from data_builders.sources.mmlu_explained import CONTRADICTS, Options, read
from stemma.rows import LETTERS, McqRow, SftRow
from tests.data_builders.chats import answering, expert, tagged
from tests.data_builders.small_recipe import make_context, write_lines

CSV = '"Which organ pumps blood?",kidney,heart,lung,liver,B\nWhich organ makes bile?,kidney,heart,lung,liver,D\n'
OPTIONS = Options(source="mmlu_explained", path="mmlu/dev/high_school_biology_dev.csv")
ONE = "Which organ pumps blood?"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "mmlu" / "dev").mkdir(parents=True)
    (tmp_path / "mmlu" / "dev" / "high_school_biology_dev.csv").write_text(CSV)
    return tmp_path


def test_a_conversation_gives_the_right_option_and_then_why(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[Json] = []

    def answer(body: Json) -> str:
        bodies.append(body)
        return "It contracts about once a second. The kidney filters blood."

    with answering(answer, root, monkeypatch) as (generate, _):
        items = list(read(OPTIONS, make_context("sft", root, generate=generate)))
    rows = {
        item.question: finish("sft", "mmlu_explained", item)
        for item in items
        if isinstance(item, Draft)
    }
    row = rows[ONE]
    assert isinstance(row, SftRow)
    assert row.messages[0].content == (
        "Which organ pumps blood?\n\nOptions:\nA. kidney\nB. heart\nC. lung\nD. "
        "liver\n\nGive the letter, then explain."
    )
    assert row.messages[1].content == (
        "B. heart\n\nIt contracts about once a second. The kidney filters blood."
    )
    assert row.meta == {"gold": "heart", "subject": "high_school_biology"}
    assert {tagged(body, "correct") for body in bodies} == {"B. heart", "D. liver"}
    assert {item.origin.requests for item in items if isinstance(item, Draft) and item.origin} == {
        1
    }


def test_a_question_carries_its_explanation(root: Path) -> None:
    with expert(root) as generate:
        items = list(read(OPTIONS, make_context("mcq", root, generate=generate)))
    rows = [finish("mcq", "mmlu_explained", item) for item in items if isinstance(item, Draft)]
    assert len(rows) == 2
    for row in rows:
        assert isinstance(row, McqRow)
        assert (row.answer_as, row.subject) == ("explained", "high_school_biology")
        assert row.explanation.startswith(
            f"{row.choices[LETTERS.index(row.answer)]} is what the question asks for."
        )


def test_an_explanation_of_another_option_is_asked_for_again(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = {
        ONE: iter(("I would say that the answer is C.", "It contracts.")),
        "Which organ makes bile?": iter("AB"),
    }

    def answer(body: Json) -> str:
        return next(replies[str(tagged(body, "question"))])

    with answering(answer, root, monkeypatch) as (generate, server):
        items = {
            item.where: item for item in read(OPTIONS, make_context("sft", root, generate=generate))
        }
    first, second = (
        items.values() if isinstance(next(iter(items.values())), Draft) else [*items.values()][::-1]
    )
    assert isinstance(first, Draft)
    assert first.row["messages"][1]["content"] == "B. heart\n\nIt contracts."
    assert first.origin is not None
    assert first.origin.requests == 2
    assert isinstance(second, Drop)
    assert second.reason == CONTRADICTS
    assert second.row["explanations"] == ["A", "B"]
    assert server.record.billed.total() == 4


def test_a_refusal_drops_the_question(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda _: "", root, monkeypatch, Faults(shares={"refusal": 1.0})) as (
        generate,
        _,
    ):
        items = list(read(OPTIONS, make_context("sft", root, generate=generate)))
    assert [item.reason for item in items if isinstance(item, Drop)] == ["reply refused"] * 2


def test_questions_of_evaluation_splits_are_never_asked(root: Path) -> None:
    with expert(root) as generate:
        context = replace(make_context("sft", root, generate=generate), held_out=ONE.__eq__)
        items = list(read(OPTIONS, context))
    assert [item.reason for item in items if isinstance(item, Drop)] == [HELD_OUT]
    assert len(items) == 2


def test_the_course_s_format_is_read_too(tmp_path: Path) -> None:
    question = "Question: Which organ pumps blood?\n\nOptions:\nA. kidney\nB. heart\n\nAnswer:"
    write_lines(
        tmp_path / "mmlu.jsonl",
        {"subject": "high_school_biology", "question": question, "answer": "B"},
    )
    with expert(tmp_path) as generate:
        options = Options(source="mmlu_explained", path="mmlu.jsonl")
        [item] = read(options, make_context("sft", tmp_path, generate=generate))
    assert isinstance(item, Draft)
    assert item.row["messages"][1]["content"].startswith("B. heart\n\n")


def test_the_prompt_is_an_input_of_the_stage(root: Path) -> None:
    [prompt] = OPTIONS.own_files(root)
    assert prompt == "recipes/prompts/explain.jinja"
