"""What the test rows of each task ask: the user's turn, what to search with, and the row asked in
another way.

    {"question": "What is force measured in?", "choices": ["newton", "joule"], …}

asks `What is force measured in?`, a blank line and the lettered options; it is searched with the
question alone, since wrong options find wrong passages.
"""

from __future__ import annotations

from typing import Any, TypeVar

from eval.tasks.generation import BARE
from stemma.answers.listed_options import split_options
from stemma.errors import Problem, UserError
from stemma.rows import McqRow, Message, PreferenceRow, SftRow, mcq_prompt, spoken

Asked = TypeVar("Asked", SftRow, PreferenceRow, McqRow)


def user_turn(row: SftRow | PreferenceRow | McqRow) -> str:
    """The content of the last user turn: what passages are put before."""
    if isinstance(row, McqRow):
        return mcq_prompt(row)
    if isinstance(row, SftRow):
        return row.messages[-2].content
    return row.turns[-1].content if row.turns else row.prompt


def bare_stem_of(row: SftRow | PreferenceRow | McqRow) -> str:
    """The question without the options it lists: what passages are searched with."""
    if isinstance(row, McqRow):
        return row.question
    asked = user_turn(row)
    return split_options(asked)[0].strip() or asked


def in_context(row: Asked, text: str) -> Asked:
    """The row with another user's turn, passages and question.

    Raises UserError where the text of a multiple-choice question does not end with the question: a
    choice's order could then not be changed in it.
    """
    changed: dict[str, Any]
    if isinstance(row, McqRow):
        changed = {"question": _before(row, text) + row.question}
    elif isinstance(row, SftRow):
        turn = Message(role="user", content=text)
        meta = row.meta | {BARE: row.messages[-2].content}
        changed = {"messages": [*row.messages[:-2], turn, row.messages[-1]], "meta": meta}
    elif row.turns:
        turns = [*row.turns[:-1], Message(role="user", content=text)]
        changed = {"turns": turns, "prompt": spoken(turns)}
    else:
        changed = {"prompt": text}
    # Validated, not copied: the worker reads it from its file, stripped alike.
    return type(row).model_validate(row.model_dump() | changed)


def _before(row: McqRow, text: str) -> str:
    asked = mcq_prompt(row)
    if not text.endswith(asked):
        found = "the prompt file writes something behind the question"
        expected = "`{{ question }}` at its end: passages stand before a question"
        raise UserError(Problem("rag.context.prompt", found, expected))
    return text.removesuffix(asked)
