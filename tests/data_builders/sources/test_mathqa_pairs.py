from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from data_builders.filters.clean import finish
from data_builders.flow import Draft, Drop
from data_builders.generated.candidates import HELD_OUT
from data_builders.generated.judging import CRITERIA
from data_builders.scripted.faults import Json
from data_builders.sources.mathqa_pairs import Options, read
from stemma.generator.estimate import dry_run
from stemma.rows import PreferenceRow
from tests.data_builders.chats import EXPERT, answering, expert, tagged
from tests.data_builders.small_recipe import make_context, write_lines

OPTIONS = Options(source="mathqa_pairs", path="mathqa.json")


def problem(number: int) -> dict[str, str]:
    return {
        "Problem": f"what is {number} + {number} ?",
        "Rationale": f"explanation : {2 * number} answer : b",
        "options": f"a ) {number} , b ) {2 * number} , c ) {3 * number} , d ) {4 * number} , e ) none of these",
        "correct": "b",
        "annotated_formula": "",
        "linear_formula": "",
        "category": "general",
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = [problem(number) for number in range(1, 41)]
    write_lines(tmp_path / "mathqa.json", *rows, rows[0], {**rows[1], "correct": "f"})
    return tmp_path


def test_pairs_come_from_the_expert_over_http(root: Path) -> None:
    with expert(root) as generate:
        items = list(read(OPTIONS, make_context("dpo", root, generate=generate)))
    pairs = [item for item in items if isinstance(item, Draft)]
    assert len(items) == 42
    assert len(pairs) >= 10
    assert items[-2:] == [
        item for item in items if isinstance(item, Drop) and "answers" not in item.row
    ]
    for pair in pairs:
        row = finish("dpo", "mathqa_pairs", pair)
        assert isinstance(row, PreferenceRow)
        assert row.prompt.startswith(pair.question)
        assert "\n\nOptions:\nA. " in row.prompt
        if row.meta["decided"] == "gold":
            assert row.chosen.endswith("Answer: B")
            assert not row.rejected.endswith("Answer: B")
    assert {pair.row["meta"]["gold"] for pair in pairs} == {"B"}


def test_every_option_is_shown_and_the_judge_knows_the_right_one(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(("Twice 1 is 2. Answer: B", "1 and 1 are 2.\n\nAnswer: B"))
    bodies: list[Json] = []

    def answer(body: Json) -> str:
        bodies.append(body)
        if tagged(body, "answer_a") is None:
            return next(answers)
        better = "A" if tagged(body, "answer_a") == "Twice 1 is 2. Answer: B" else "B"
        return json.dumps({"criteria": dict.fromkeys(CRITERIA, "AB"), "overall": better})

    write_lines(root / "mathqa.json", problem(1))
    with answering(answer, root, monkeypatch) as (generate, _):
        [item] = read(OPTIONS, make_context("dpo", root, generate=generate))
    assert isinstance(item, Draft)
    assert item.row["chosen"] == "Twice 1 is 2. Answer: B"
    assert item.row["meta"]["decided"] == "judge"
    assert item.row["meta"]["correctness"] == "AB/AB"
    asked = [body for body in bodies if tagged(body, "answer_a") is None]
    assert len(asked) == 2
    assert asked[0]["seed"] != asked[1]["seed"]
    assert asked[0]["messages"][0]["role"] == "system"
    assert "specialist in the STEM fields" in asked[0]["messages"][0]["content"]
    assert tagged(asked[0], "options") == "A. 1\nB. 2\nC. 3\nD. 4\nE. none of these"
    assert tagged(asked[0], "correct") is None
    judged = [body for body in bodies if body not in asked]
    assert [tagged(body, "correct") for body in judged] == ["B. 2", "B. 2"]
    assert all(body["response_format"]["type"] == "json_schema" for body in judged)


def test_a_limit_draws_problems_and_a_higher_one_only_adds_to_them(root: Path) -> None:
    with expert(root) as generate:
        context = make_context("dpo", root, generate=generate)
        few = {item.where for item in read(OPTIONS.model_copy(update={"limit": 5}), context)}
        more = Counter(
            item.where for item in read(OPTIONS.model_copy(update={"limit": 10}), context)
        )
    assert len(few) == 7  # and the two that cannot be asked
    assert few <= more.keys()
    assert sum(more.values()) == 12


def test_a_dry_run_counts_both_answers_and_both_rankings(root: Path) -> None:
    counting = dry_run(EXPERT, root / "ledger.sqlite", None)
    items = list(
        read(OPTIONS.model_copy(update={"limit": 5}), make_context("dpo", root, generate=counting))
    )
    assert counting.totals()["requests"] == 5 * 4
    assert len(items) == 5 + 2


def test_problems_of_evaluation_parts_are_never_asked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def answer(body: Json) -> str:
        asked.append(tagged(body, "question"))
        return f"Answer: {'AB'[len(asked) % 2]}"

    write_lines(root / "mathqa.json", problem(1), problem(2))
    with answering(answer, root, monkeypatch) as (generate, _):
        context = make_context("dpo", root, generate=generate)
        items = list(read(OPTIONS, replace(context, held_out=lambda question: "1 + 1" in question)))
    assert [type(item) for item in items] == [Draft, Drop]
    assert isinstance(items[1], Drop)
    assert items[1].reason == HELD_OUT
    assert set(asked) == {"what is 2 + 2 ?"}


def test_the_prompts_are_inputs_of_the_stage(root: Path) -> None:
    names = [path.name for path in OPTIONS.own_files(root).values()]
    assert names == ["mathqa.jinja", "rank.jinja"]
