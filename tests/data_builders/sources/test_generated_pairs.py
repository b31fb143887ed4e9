from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from data_builders.filters.clean import finish
from data_builders.flow import Draft, Drop
from data_builders.generated.exercises import exercises
from data_builders.scripted.faults import Json
from data_builders.sources.generated_pairs import Options, read
from stemma.rows import PreferenceRow
from tests.data_builders.chats import answering, expert, prompt
from tests.data_builders.small_recipe import make_context


def test_pairs_come_from_the_expert_over_http_and_are_right_against_wrong(tmp_path: Path) -> None:
    with expert(tmp_path) as generate:
        items = list(
            read(
                Options(source="generated_pairs", limit=60),
                make_context("dpo", tmp_path, generate=generate),
            )
        )
    known = {exercise.question: exercise for exercise in exercises(42)}
    pairs = [item for item in items if isinstance(item, Draft)]
    assert len(items) == 60
    assert len(pairs) >= 20
    for pair in pairs:
        exercise = known[pair.question]
        chosen, rejected = (
            pair.row[name].removeprefix("It is ").removesuffix(".")
            for name in ("chosen", "rejected")
        )
        assert chosen == exercise.answer
        by_judge = rejected == exercise.answer  # both right: the shorter one wins
        assert by_judge or rejected in exercise.wrong
        assert pair.row["meta"]["decided"] == ("judge" if by_judge else "gold")
        assert isinstance(finish("dpo", "generated_pairs", pair), PreferenceRow)
        assert pair.origin is not None
        assert pair.origin.requests == (4 if by_judge else 2)
    reasons = Counter(item.reason for item in items if isinstance(item, Drop))
    assert set(reasons) == {"identical answers", "neither answer is correct"}


def test_questions_of_evaluation_splits_are_never_asked(tmp_path: Path) -> None:
    held_out = exercises(42)[-1].question
    with expert(tmp_path) as generate:
        context = replace(
            make_context("dpo", tmp_path, generate=generate), held_out=held_out.__eq__
        )
        [item] = read(Options(source="generated_pairs", limit=1), context)
    assert item.where == exercises(42)[-2].question


def test_prompts_and_exercises_are_inputs_of_the_stage(tmp_path: Path) -> None:
    names = list(Options(source="generated_pairs").own_files(tmp_path))
    prompts = ["recipes/prompts/answer.jinja", "recipes/prompts/rank.jinja"]
    assert names == [*prompts, "data_builders/exercises.py"]


def test_a_recipes_own_prompts_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prompts").mkdir()
    for name in ("answer", "rank"):
        text = "{% block user %}own " + name + ": {{ question }}{% endblock %}"
        (tmp_path / "prompts" / f"{name}.jinja").write_text(text)
    exercise = exercises(42)[-1]
    asked: list[str] = []

    def answer(body: Json) -> str:
        asked.append(prompt(body))
        return f"{'Indeed, ' * len(asked)}{exercise.answer}."

    with answering(answer, tmp_path, monkeypatch) as (generate, _):
        context = make_context("dpo", tmp_path, generate=generate)
        context = replace(context, recipe_folder=tmp_path)
        [item] = read(Options(source="generated_pairs", limit=1), context)
    assert isinstance(item, Drop)
    assert item.reason.startswith("ranking: "), "both are right, and no answer is a verdict"
    expected = {f"own {name}: {exercise.question}": 2 for name in ("answer", "rank")}
    assert Counter(asked) == expected
