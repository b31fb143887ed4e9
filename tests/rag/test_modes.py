from __future__ import annotations

from typing import Any

import pytest

from rag.modes import Chosen, choose, describe
from rag.questions import Question
from stemma.errors import UserError
from stemma.recipe.rag import RagSection

TEXTS = [f"The {name} is made of {name} parts." for name in ("atom", "cell", "gear", "star")] + [
    f"Filler number {number} about cells." for number in range(40)
]
ASKED = [Question("What is an atom?", True), Question("What is a gear?", False)]


def section(**values: Any) -> RagSection:
    source = {"source": "documents", "path": "x"}
    return RagSection.model_validate({"sources": [source], **values})


def chosen(**values: Any) -> Chosen:
    return choose(section(**values), ASKED, lambda: TEXTS, 42)


def test_all_keeps_all_and_asks_nobody() -> None:
    assert choose(section(), [], lambda: TEXTS, 42) == Chosen(None)
    assert choose(section(), [], lambda: TEXTS, 42).holds(10**9)


def test_paper_keeps_what_is_found_for_every_question() -> None:
    found = chosen(mode="paper", documents_per_question=1)
    assert (found.places, found.questions, found.without) == (frozenset({0, 2}), 2, 0)


def test_train_only_lets_no_test_question_choose() -> None:
    assert chosen(mode="train-only", documents_per_question=1).places == frozenset({0})
    with pytest.raises(UserError, match="`train-only`, but no training questions"):
        choose(section(mode="train-only"), ASKED[1:], lambda: TEXTS, 42)


def test_distractors_are_drawn_by_the_seed() -> None:
    values = {"mode": "paper+distractors", "documents_per_question": 1, "distractors": 6}
    found = chosen(**values)
    assert found.places is not None
    assert {0, 2} < found.places
    assert len(found.places) == 2 + found.distractors == 2 + 2 * 3
    assert chosen(**values) == found
    assert choose(section(**values), ASKED, lambda: TEXTS, 43).places != found.places
    every = chosen(mode="paper+distractors", documents_per_question=1, distractors=1000)
    assert every.places == frozenset(range(len(TEXTS)))


def test_a_question_that_finds_nothing_is_counted() -> None:
    asked = [Question("Zebra?", True), *ASKED]
    found = choose(section(mode="paper"), asked, lambda: TEXTS, 42)
    assert (found.questions, found.without) == (3, 1)


@pytest.mark.parametrize("mode", ["all", "paper", "train-only", "paper+distractors"])
def test_each_mode_says_what_it_is(mode: str) -> None:
    assert describe(section(mode=mode)).startswith(f"{mode}: ")
