"""Questions of the recipe's data sets: what chooses passages, and what must not stand in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from stemma.jsonl import stream_dicts, validated
from stemma.recipe.models import Recipe
from stemma.rows import LETTERS, McqRow, PreferenceRow, SftRow
from stemma.runs import Run

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Question:
    """A question of a data set."""

    text: str
    """As it is searched with: without options and answer."""
    trains: bool
    """Whether it is a training question; those of validation and test are evaluated."""
    options: tuple[str, ...] = ()
    answer: str = ""
    validates: bool = False
    """Whether it is one of the validation questions, on which the search is fitted."""
    passages: tuple[str, ...] = ()
    """The ids of the passages that answer it, where its row says so (`meta.passage`)."""
    support: str = ""
    """The text that answers it, where its row says so (`meta.support`)."""


def named_sets(recipe: Recipe) -> list[str]:
    """The sets whose questions count: those `rag.questions` names, or all but the corpus."""
    assert recipe.rag is not None
    known = [name for name in recipe.data.sets() if name != "corpus"]
    return list(recipe.rag.questions) if recipe.rag.questions is not None else known


def read_questions(recipe: Recipe, run: Run) -> list[Question]:
    """The questions of the data stage's rows, each text once; a training question that is
    evaluated too counts as evaluated."""
    found: dict[tuple[str, tuple[str, ...]], Question] = {}
    for kind in named_sets(recipe):
        for split in SPLITS:
            if f"{kind}/{split}" not in run.manifest("data").outputs:
                continue
            path = run.output("data", f"{kind}/{split}")
            for number, value in enumerate(stream_dicts(path), start=1):
                one = _question(kind, value, f"{path}:{number}", split)
                found[one.text, one.options] = one
    return list(found.values())


def _question(kind: str, value: dict[str, Any], where: str, split: str) -> Question:
    one = _by_kind(kind, value, where, split == "train")
    meta = value.get("meta", {})
    passages = tuple(str(meta.get("passage") or "").split())
    support = plain(str(meta.get("support") or ""))
    return replace(one, validates=split == "validation", passages=passages, support=support)


def _by_kind(kind: str, value: dict[str, Any], where: str, trains: bool) -> Question:
    if kind == "mcq":
        mcq = validated(value, where, McqRow)
        right = mcq.choices[LETTERS.index(mcq.answer)]
        return Question(mcq.question, trains, tuple(mcq.choices), right)
    if kind == "dpo":
        pair = validated(value, where, PreferenceRow)
        return Question(pair.prompt, trains, (), pair.chosen)
    row = validated(value, where, SftRow)
    asked = [turn.content for turn in row.messages if turn.role == "user"]
    return Question(asked[-1] if asked else "", trains, (), row.messages[-1].content)


def plain(text: str) -> str:
    """A text by which a passage is known again: without the line breaks of its layout."""
    return " ".join(text.split())


def evaluated(questions: Sequence[Question]) -> Iterator[Question]:
    """Those of validation and test."""
    return (question for question in questions if not question.trains)
