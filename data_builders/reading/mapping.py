"""The mapping of a table's columns to a set's fields: what a recipe may map, and the field's own
forms that need no mapping."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from data_builders.flow import Kind
from stemma.errors import Problem, UserError
from stemma.reading.columns import find_fault, names_in
from stemma.reading.tables import other_delimiter
from stemma.recipe.sections import Section

NEEDED: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "sft": (("question", "answer"), ("messages",)),
    "dpo": (("chosen", "rejected"),),
    "mcq": (("question", "choices", "answer"),),
    "corpus": (("text",),),
}
"""What must be mapped to fill a set: one of these. Pairs need `prompt` too, unless their answers
are conversations."""
READ: dict[Kind, tuple[str, ...]] = {
    "sft": ("messages", "system", "history", "question", "answer", "gold", "subject", "support"),
    "dpo": ("system", "history", "prompt", "chosen", "rejected", "gold", "subject"),
    "mcq": ("question", "choices", "labels", "answer", "explanation", "subject"),
    "corpus": ("text",),
}
READ_INTO = ("messages", "history", "choices", "labels")
"""Those of them that are lists, as text too."""
_PAIR = {"chosen": "chosen", "rejected": "rejected"}
FORMS: dict[Kind, tuple[dict[str, str], ...]] = {
    "sft": (
        {"messages": "messages"},
        {"messages": "conversations"},
        {"messages": "conversation"},
        {"question": "{instruction}\n\n{input}", "answer": "output"},
        {"question": "instruction", "answer": "output"},
        {"question": "{instruction}\n\n{context}", "answer": "response"},
        {"question": "instruction", "answer": "response"},
        {"question": "prompt", "answer": "completion"},
        {"question": "prompt", "answer": "response"},
        {"question": "question", "answer": "answer"},
        {"question": "question", "answer": "response"},
        {"question": "query", "answer": "response"},
        {"question": "problem", "answer": "solution"},
    ),
    "dpo": (
        {"prompt": "prompt", **_PAIR},
        {"prompt": "messages", **_PAIR},
        {"prompt": "conversations", **_PAIR},
        {"prompt": "question", **_PAIR},
        {"prompt": "{instruction}\n\n{input}", **_PAIR},
        {"prompt": "instruction", **_PAIR},
        {
            "prompt": "input.messages",
            "chosen": "preferred_output",
            "rejected": "non_preferred_output",
        },
        _PAIR,
    ),
    "mcq": (),
    "corpus": ({"text": "text"},),
}
"""Without `columns`: the first of these whose columns a row has."""
SYSTEM = ("system", "system_prompt")
HISTORY = "history"
"""Beside `instruction`: the turns before it (LLaMA-Factory)."""
MARKED = ("label", "kto_tag")
"""Says of a row in the field's own forms whether its answer is a good one (TRL's and
LLaMA-Factory's unpaired rows)."""


class Columns(Section):
    """Which column holds what."""

    messages: str | None = None
    """In conversations: the whole of one, in OpenAI's, ShareGPT's or HH's form; instead of
    `question` and `answer`."""
    system: str | None = None
    """What the model is told before the conversation."""
    history: str | None = None
    """The turns before the question: a list of [question, answer], or of turns."""
    question: str | None = None
    """The question, or in conversations what the user says."""
    answer: str | None = None
    """The right answer, or in conversations what the assistant says."""
    gold: str | None = None
    """In conversations: the short right answer, to score with."""
    support: str | None = None
    """In conversations: the passage that the answer stands in, for retrieval-aware training and
    the evaluation's arm `gold`."""
    choices: str | list[str] | None = None
    """One column with a list, or a column each."""
    labels: str | None = None
    """The list of the choices' labels, where they are not A, B, …"""
    explanation: str | None = None
    """Of a multiple-choice question: why its answer is right."""
    subject: str | None = None
    """The subject, e.g. `=physics` for all rows."""
    prompt: str | None = None
    """Of a pair; not needed where `chosen` and `rejected` are whole conversations."""
    chosen: str | None = None
    """Of a pair: the better answer."""
    rejected: str | None = None
    """Of a pair: the worse answer."""
    text: str | None = None
    """In a corpus: the text."""

    @model_serializer(mode="wrap")
    def _without_support(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The columns, `support` only where it is mapped: recipes without it have the keys they had
        before there was one."""
        found: dict[str, Any] = dump(self)
        return found if self.support else {name: found[name] for name in found if name != "support"}

    @model_validator(mode="after")
    def _are_written_right(self) -> Columns:
        for name, wanted in self.mapped().items():
            for fault in filter(None, map(find_fault, wanted)):
                raise ValueError(f"{name}: {fault}")
        return self

    def mapped(self) -> dict[str, list[str]]:
        """The columns of each name that has some."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: value if isinstance(value, list) else [value]
            for name, value in given.items()
            if value
        }


def absent(columns: Columns, kind: Kind) -> list[str]:
    """The names that `columns` lacks to fill a set; none where it can be filled."""
    found = [
        [f"`{name}`" for name in names if getattr(columns, name) is None] for names in NEEDED[kind]
    ]
    return min(found, key=len)


def ways(kind: Kind) -> str:
    return {"dpo": "prompt, chosen, rejected"}.get(kind) or ", or ".join(
        ", ".join(names) for names in NEEDED[kind]
    )


def form_of(where: str, row: Mapping[str, Any], kind: Kind) -> Columns:
    """The columns of the first of the field's forms that a row is in. Raises UserError."""
    if found := _find_form(frozenset(row), kind):
        return found
    known = "; ".join(", ".join(_columns(form)) for form in FORMS[kind])
    expected = f"the columns of a known form: {known}"
    told = other_delimiter(list(row))
    hint = f"{f'{told}; ' if told else ''}or say with `columns` where these stand: {ways(kind)}"
    raise UserError(Problem(where, f"a row of {', '.join(row)}", expected, hint))


@cache
def _find_form(names: frozenset[str], kind: Kind) -> Columns | None:
    for form in FORMS[kind]:
        if names.issuperset(re.split(r"[.\[]", column)[0] for column in _columns(form)):
            told = (
                next((name for name in SYSTEM if name in names), None)
                if "system" in READ[kind]
                else None
            )
            earlier = HISTORY if HISTORY in names and "instruction" in _columns(form) else None
            return Columns.model_validate({**form, "system": told, "history": earlier})
    return None


def _columns(form: Mapping[str, str]) -> list[str]:
    return [column for wanted in form.values() for column in names_in(wanted)]
