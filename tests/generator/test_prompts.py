from __future__ import annotations

from pathlib import Path

import pytest

from stemma.generator.prompts import Prompts
from stemma.metered_jinja import TemplateFault
from stemma.recipe.prompts import PROMPTS

PROJECT = Prompts()


def test_a_prompt_has_a_user_turn_and_perhaps_a_system_turn() -> None:
    [user] = PROJECT.render("answer", question="What is 2 + 2?")
    assert user.role == "user"
    assert user.content.endswith("<question>\nWhat is 2 + 2?\n</question>")
    system, user = PROJECT.render("mathqa", question="x?", options="A. 1\nB. 2")
    assert (system.role, user.role) == ("system", "user")
    assert "specialist in the STEM fields" in system.content
    assert "<options>\nA. 1\nB. 2\n</options>" in user.content


def test_options_and_the_right_answer_are_shown_to_the_judge_where_there_are_any() -> None:
    answers = {"question": "x?", "answer_a": "1", "answer_b": "2"}
    bare = PROJECT.render("rank", options="", correct="", **answers)[1].content
    full = PROJECT.render("rank", options="A. 1", correct="A. 1", **answers)[1].content
    assert "<options>" not in bare
    assert "<correct>" not in bare
    assert "<correct>\nA. 1\n</correct>" in full
    for criterion in (
        "correctness",
        "relevance",
        "clarity",
        "completeness",
        "conciseness",
        "engagement",
    ):
        assert f'"{criterion}"' in bare


def test_a_value_that_is_missing_is_an_error_and_one_that_looks_like_a_template_is_text() -> None:
    with pytest.raises(TemplateFault, match=r"mathqa.jinja:15: 'options' is undefined"):
        PROJECT.render("mathqa", question="x?")
    [user] = PROJECT.render("answer", question="{{ 7 * 7 }}")
    assert "{{ 7 * 7 }}" in user.content


AROUND_PASSAGES = {"context", "facts"}
"""Prompts that put passages into a user's turn (`stemma.retrieval.context`)."""


def test_every_other_prompt_on_the_disk_is_a_chat() -> None:
    names = sorted({path.stem for path in PROMPTS.glob("*.jinja")} - AROUND_PASSAGES)
    assert sorted(names) == ["answer", "explain", "judge", "mathqa", "rank"]
    filled = ("question", "options", "correct", "answer_a", "answer_b")
    values = dict.fromkeys((*filled, "answer_1", "answer_2", "fence"), "x")
    assert all(PROJECT.render(name, **values)[-1].role == "user" for name in names)
    assert all(path.is_file() for path in PROJECT.files(*names).values())


def test_a_prompt_beside_the_recipe_comes_before_the_projects_own(tmp_path: Path) -> None:
    (tmp_path / "prompts").mkdir()
    own = tmp_path / "prompts" / "answer.jinja"
    own.write_text("{% block user %}Explain {{ question }} to a child.{% endblock %}")
    prompts = Prompts(tmp_path)
    [user] = prompts.render("answer", question="2 + 2")
    assert user.content == "Explain 2 + 2 to a child."
    # The key of the data stage tells them apart by their content, under one name.
    assert prompts.files("answer", "rank") == {
        "recipes/prompts/answer.jinja": own,
        "recipes/prompts/rank.jinja": PROMPTS / "rank.jinja",
    }
    assert PROJECT.files("answer") == {"recipes/prompts/answer.jinja": PROMPTS / "answer.jinja"}
