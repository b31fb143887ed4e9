"""The rows that travel between stages: strict, frozen pydantic models, one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from stemma.strict import Record

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Meta = dict[str, str | int | float | bool | None]
Split = Literal["train", "validation", "test"]


class _Row(Record):
    id: Text
    source: Text


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


class CorpusRow(_Row):
    """Plain text to pretrain on.

    `{"id": "…", "source": "stem", "text": "Question: What is 3 + 4?\\n\\nAnswer: 7"}`
    """

    text: Text


class SftRow(_Row):
    """A conversation that ends with the assistant's answer.

    `meta["gold"]`, where known, is the short right answer.
    """

    messages: list[Message]
    meta: Meta = {}

    @model_validator(mode="after")
    def _ends_with_answer(self) -> SftRow:
        if len(self.messages) < 2 or self.messages[-1].role != "assistant":
            raise ValueError("messages must hold a user turn and end with the assistant's answer")
        return self


class PreferenceRow(_Row):
    """One pair: the same prompt answered well (`chosen`) and less well (`rejected`)."""

    question_id: Text
    prompt: Text
    """The whole question as one text: it is compared, counted, and looked for in evaluation."""
    turns: list[Message] = []
    """The same as turns, where there are several, behind a system turn if any: what is rendered
    (`conversation`)."""
    chosen: Text
    rejected: Text
    meta: Meta = {}

    @model_validator(mode="after")
    def _answers_differ(self) -> PreferenceRow:
        if self.chosen == self.rejected:
            raise ValueError("chosen and rejected are the same")
        return self

    @model_validator(mode="after")
    def _turns_say_the_prompt(self) -> PreferenceRow:
        if self.turns and spoken(self.turns) != self.prompt:
            raise ValueError("turns do not say what the prompt says")
        if self.turns and self.turns[-1].role != "user":
            raise ValueError("turns must end with the user's")
        return self

    def conversation(self, answer: str) -> list[Message]:
        """The conversation that ends in one of the answers: pairs are rendered in no other way."""
        asked = self.turns or [Message(role="user", content=self.prompt)]
        return [*asked, Message(role="assistant", content=answer)]


def spoken(turns: Sequence[Message]) -> str:
    """The turns of user and assistant as one text."""
    return "\n\n".join(turn.content for turn in turns if turn.role != "system")


class McqRow(_Row):
    """A multiple-choice question; `answer` is the letter of the right choice."""

    question: Text
    choices: list[Text]
    answer: Text
    answer_as: Literal["letter", "text", "explained"] = "letter"
    """The form of the assistant's answer: the letter (the course's protocol); the choice's text,
    which a model too small to point at letters can learn too; or the letter and then
    `explanation`."""
    explanation: str = ""
    subject: str = ""
    meta: Meta = {}

    @model_validator(mode="after")
    def _answer_is_a_choice(self) -> McqRow:
        if not 2 <= len(self.choices) <= len(LETTERS):
            raise ValueError(f"{len(self.choices)} choices; 2 to {len(LETTERS)} can be lettered")
        if self.answer not in LETTERS[: len(self.choices)]:
            raise ValueError(
                f"answer {self.answer!r} is none of the letters {LETTERS[: len(self.choices)]}"
            )
        if self.answer_as == "explained" and not self.explanation.strip():
            raise ValueError("answer_as: explained, but there is no explanation")
        return self


def mcq_prompt(row: McqRow) -> str:
    """The user's turn of a multiple-choice question, in the course's layout (stem, blank line,
    lettered options).

    An explained answer is asked for, so that the plain layout keeps meaning the letter alone.
    """
    asked = "\n\nGive the letter, then explain." if row.answer_as == "explained" else ""
    return lettered(row.question, row.choices) + asked


def lettered(question: str, choices: Sequence[str]) -> str:
    """A question with its choices as options A, B, …"""
    options = "\n".join(
        f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)
    )
    return f"{question}\n\nOptions:\n{options}"


def mcq_answer(row: McqRow, letter: str) -> str:
    """The assistant's turn that picks `letter`."""
    if row.answer_as == "explained":
        return f"{letter}\n\n{row.explanation}"
    return letter if row.answer_as == "letter" else row.choices[LETTERS.index(letter)]


Row = CorpusRow | SftRow | PreferenceRow | McqRow
"""A row that trains or is scored."""


class Dropped(Record):
    """A row that was read and not kept, and why: nothing disappears."""

    source: str
    where: str
    reason: str
    row: dict[str, object]


class Score(Record):
    """One measured number. No value without its n; `low`/`high` is the 95 % interval where the
    metric has one; of speeds, the quartiles of the repeats."""

    variant: str
    task: str
    metric: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    samples: str | None = None

    @model_validator(mode="after")
    def _measured_on_something(self) -> Score:
        if self.n < 1:
            raise ValueError("a score needs at least one sample")
        return self
