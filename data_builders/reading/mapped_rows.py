"""A row of any table, read by a mapping of its columns: what stands in it by what it is to Stemma.

By `columns: {question: Frage, choices: [A, B], answer: Loesung}` the row

    {"Frage": "Was misst man in Newton?", "A": "Kraft", "B": "Arbeit", "Loesung": "A"}

holds the question "Was misst man in Newton?" with two choices, of which the first is right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ConfigDict

from data_builders.flow import Kind
from data_builders.questions import Question
from data_builders.reading.choices import (
    NO_LIST,
    NONE_OF_THEM,
    SEVERAL,
    TOO_MANY,
    AnswerIs,
    find_answer,
    names_several,
    read_choices,
)
from data_builders.reading.conversations import (
    PICTURE,
    NoConversation,
    Role,
    Turn,
    Unusable,
    earlier_turns,
    holds_turns,
    turns_of,
)
from data_builders.reading.files import FileRow, RowForm
from data_builders.reading.mapping import NEEDED, READ, READ_INTO, Columns
from stemma.errors import Problem, UserError
from stemma.reading.columns import (
    Cells,
    NoColumn,
    NoText,
    as_text,
    is_missing,
    names_in,
    no_column,
    paths,
)
from stemma.reading.printed import unprinted
from stemma.rows import LETTERS

_MEDIA = re.compile(r"<(image|video|audio)>")


class TableRow(RowForm):
    """A row with any columns."""

    model_config = ConfigDict(extra="allow")


class MappedRow:
    """A row's values by their meaning (`question`, `answer`, …). Raises UserError naming the
    columns that are not there."""

    def __init__(
        self, entry: FileRow[TableRow], cells: Cells, columns: Columns, kind: Kind
    ) -> None:
        self.entry = entry
        self.columns = columns
        self.kind = kind
        self.row = cells.row
        self.values: dict[str, Any] = {}
        problems: list[Problem] = []
        for name in READ[kind]:
            wanted = getattr(columns, name)
            try:
                many = isinstance(wanted, list)
                self.values[name] = (
                    [cells.value(one) for one in wanted] if many else wanted and cells.value(wanted)
                )
            except NoColumn as error:
                problems.append(no_column(entry.where, error, list(paths(cells.row)), name))
            except NoText as error:
                problems.append(self._no_text(name, error))
        if problems:
            raise UserError(problems)

    def lacking(self) -> str | None:
        """The first of what must be there that the row lacks."""
        names = next(
            names
            for names in NEEDED[self.kind]
            if all(getattr(self.columns, name) for name in names)
        )
        prompt = ("prompt",) if self.kind == "dpo" and self.columns.prompt else ()
        return next((name for name in (*prompt, *names) if is_missing(self.values[name])), None)

    def text(self, name: str) -> str:
        try:
            return as_text(self.values[name], self._column(name))
        except NoText as error:
            raise UserError(self._no_text(name, error)) from None

    def cells(self) -> Iterator[tuple[str, str]]:
        """The texts that stand in a column of their own; turns written as text are none."""
        for name in READ[self.kind]:
            wanted = getattr(self.columns, name)
            value = self.values[name]
            direct = (
                isinstance(wanted, str) and names_in(wanted) == [wanted] and name not in READ_INTO
            )
            if direct and isinstance(value, str) and value.strip() and not holds_turns(value):
                yield wanted, value

    def turns(self, name: str, role: Role) -> list[Turn]:
        """A text or conversation as turns. Raises Unusable."""
        value = self.values[name]
        if not isinstance(value, str | list | dict):
            value = self.text(name)
        try:
            turns = earlier_turns(value) if name == "history" else turns_of(value, role)
        except NoConversation as error:
            expected = "a text, or a list of turns (`role` and `content`, or `from` and `value`)"
            hint = NoText(self._column(name), value).hint
            raise UserError(
                Problem(
                    self.entry.where,
                    f"`{name}`: `{self._column(name)}` holds {error}",
                    expected,
                    hint,
                )
            ) from None
        shown = {media[1] for turn in turns for media in _MEDIA.finditer(turn.content)}
        if any(
            not is_missing(self.row.get(one)) for media in shown for one in (media, f"{media}s")
        ):
            raise Unusable(PICTURE)
        return turns

    def system(self, turns: list[Turn]) -> list[Turn]:
        """The turns behind the system's, where there is one."""
        told = self.text("system")
        return (
            [Turn("system", told), *turns]
            if told and turns and turns[0].role != "system"
            else turns
        )

    def meta(self) -> dict[str, str]:
        named = [name for name in ("subject", "gold", "support") if name in self.values]
        texts = {name: self.text(name) for name in named}
        return {name: text for name, text in texts.items() if text}

    def question(self, answer_is: AnswerIs) -> Question:
        """A multiple-choice question. Raises Unusable."""
        try:
            found = read_choices(self.values["choices"], self._column("choices"))
        except NoText as error:
            raise UserError(self._no_text("choices", error)) from None
        if found is None:
            raise Unusable(NO_LIST)
        choices, labels = found
        if given := unprinted(self.values["labels"]):
            labels = [as_text(label, self._column("labels")) for label in given]
        answer = self.text("answer")
        place = find_answer(answer, choices, labels, answer_is)
        if place is None:
            several = names_several(answer, choices, labels, answer_is)
            raise Unusable(SEVERAL if several else NONE_OF_THEM)
        if len(choices) > len(LETTERS):
            raise Unusable(TOO_MANY)
        stem, explanation, subject = (
            self.text(name) for name in ("question", "explanation", "subject")
        )
        return Question(stem, choices, LETTERS[place], explanation, subject)

    def _column(self, name: str) -> str:
        return ", ".join(self.columns.mapped().get(name, ()))

    def _no_text(self, name: str, error: NoText) -> Problem:
        return Problem(self.entry.where, f"`{name}`: {error}", "a text or a number", error.hint)
