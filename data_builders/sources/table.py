r"""Any table, by a mapping of its columns: adds a course without code. A line of `physics.csv`

    Frage,A,B,C,Loesung
    "Was misst man in Newton?",Kraft,Arbeit,Leistung,A

is a multiple-choice question by

    {source: table, path: physics.csv,
     columns: {question: Frage, choices: [A, B, C], answer: Loesung, subject: =physics}}

A column is named as `data_builders/reading/columns.py` says: a path (`answers.text[0]`), a text itself (`=physics`),
or several joined (`"{instruction}\n\n{input}"`). Without `columns` the rows must be in one of the field's own forms,
which `data_builders/reading/mapping.py` lists: OpenAI's `messages`, ShareGPT's `conversations`, Alpaca, prompts and
completions; pairs as TRL, UltraFeedback, HH, Axolotl and LLaMA-Factory write them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, model_validator

from data_builders.flow import Context, Draft, Drop, Kind
from data_builders.questions import ChoiceOptions, Question, make_rows
from data_builders.reading.choices import (
    NO_LIST,
    NONE_OF_THEM,
    TOO_MANY,
    AnswerIs,
    bare_stem,
    find_answer,
    read_choices,
)
from data_builders.reading.columns import Cells, NoColumn, NoText, as_text, is_missing, names_in, paths
from data_builders.reading.conversations import (
    PICTURE,
    NoConversation,
    Role,
    Turn,
    Unusable,
    answered,
    earlier_turns,
    holds_turns,
    pair,
    printable,
    spoken,
    turns_of,
)
from data_builders.reading.files import Entry, Line, read_lines
from data_builders.reading.mapping import FORMS, MARKED, NEEDED, READ, READ_INTO, Columns, absent, form_of, ways
from data_builders.reading.printed import Prints, unprinted
from data_builders.reading.tables import CsvForm
from stemma.errors import Problem, Problems, UserError
from stemma.recipe.check import nearest
from stemma.rows import LETTERS

KINDS = ("sft", "dpo", "mcq", "corpus")
PHASE = "read"
LICENCE = ""

MARKED_WRONG = "its answer is marked as a bad one"

_MEDIA = re.compile(r"<(image|video|audio)>")


class Options(ChoiceOptions):
    source: Literal["table"]
    columns: Columns | None = None
    """Which column holds what; without it, rows must be in one of the field's own forms."""
    train_on: Literal["all_answers", "last_answer"] = "all_answers"
    """Of a conversation of several turns: a row for each answer, or one row for the last."""
    answer_is: AnswerIs = "label"
    """What the answer of a multiple-choice question is: a choice's label, its text, its number from 1 or from 0."""
    header: list[str] = []
    """The names of a CSV file's columns, where it has no header line."""
    delimiter: Literal[",", ";", "\t", "|"] = ","
    """What stands between the cells of a CSV file."""

    @model_validator(mode="after")
    def _fills_a_set(self) -> Options:
        if self.columns and all(absent(self.columns, kind) for kind in NEEDED):
            raise ValueError(f"columns: they fill no set ({'; '.join(f'{kind}: {ways(kind)}' for kind in NEEDED)})")
        return self


class _Row(Line):
    model_config = ConfigDict(extra="allow")


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    where = f"{options.path} in data.{context.kind}"
    if options.columns is None and not FORMS[context.kind]:
        raise UserError(Problem(where, "no `columns`", ways(context.kind)))
    if options.columns and (lacking := absent(options.columns, context.kind)):
        found = f"`columns` does not say where {' and '.join(lacking)} stand"
        raise UserError(Problem(where, found, ways(context.kind)))
    yield from _Reading(options, context).items()


@dataclass
class _Reading:
    """One source being read: what is wrong in its rows, and which columns are filled for nothing."""

    options: Options
    context: Context
    problems: Problems = field(default_factory=Problems)
    filled: dict[str, None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    other_order: list[str] = field(default_factory=list)  # where questions list their options otherwise than `choices`
    prints: Prints = field(default_factory=Prints)

    def items(self) -> Iterator[Draft | Drop]:
        form = CsvForm(tuple(self.options.header), self.options.delimiter)
        try:
            for entry in read_lines(self.options, self.context, _Row, csv=form):
                try:
                    found = self._make(entry)
                except UserError as error:
                    self.problems.add(error.problems)
                    if self.problems.are_enough:
                        break
                    continue
                if not self.problems:
                    yield from found
            self.problems.add(list(self.prints.problems()))
            if self.problems:
                raise UserError(self.problems.listed())
        finally:
            for remark in self._remarks():
                self.context.say(f"{self.options.source} {self.options.path}: {remark}")

    def _remarks(self) -> Iterator[str]:
        if unused := [f"`{name}`" for name in self.filled if name not in self.used]:
            yield f"filled, but nothing uses {', '.join(unused)}"
        yield from self.prints.remarks()
        if count := len(self.other_order):
            where = f"(first: {self.other_order[0]})"
            yield f"{count} questions list their options otherwise than `choices` {where}; a letter was taken as its"

    def _make(self, entry: Entry[_Row]) -> list[Draft | Drop]:
        """The rows of one entry. Raises UserError with all that is wrong in it."""
        cells = Cells(entry.line.model_extra or {})
        self.filled |= {name: None for name, value in cells.row.items() if not is_missing(value)}
        columns = self.options.columns or form_of(entry.where, cells.row, self.context.kind)
        picked = _Picked(entry, cells, columns, self.context.kind)
        self.used |= cells.read | (set(MARKED) if self.options.columns is None else set())
        try:
            if self.options.columns is None and any(cells.row.get(name) is False for name in MARKED):
                raise Unusable(MARKED_WRONG)
            if lacking := picked.lacking():
                raise Unusable(f"no {lacking}")
            for column, cell in picked.cells():
                self.prints.note(column, cell, entry.where)
            if self.context.kind == "mcq":
                question = picked.question(self.options.answer_is)
                places = bare_stem(question.stem, question.choices)[1]
                if self.options.answer_is == "label" and places != sorted(places):
                    self.other_order.append(entry.where)
                return list(make_rows(entry, question, self.options, self.context))
            return list(_MAKE[self.context.kind](picked, self.options))
        except Unusable as reason:
            return [Drop(entry.where, str(reason), printable(cells.row))]


class _Picked:
    """The values of a row by what they are. Raises UserError naming the columns that are not there."""

    def __init__(self, entry: Entry[_Row], cells: Cells, columns: Columns, kind: Kind) -> None:
        self.entry, self.columns, self.kind = entry, columns, kind
        self.row = cells.row
        self.values: dict[str, Any] = {}
        problems: list[Problem] = []
        for name in READ[kind]:
            wanted = getattr(columns, name)
            try:
                many = isinstance(wanted, list)
                self.values[name] = [cells.value(one) for one in wanted] if many else wanted and cells.value(wanted)
            except NoColumn as error:
                known = list(paths(cells.row))
                found, expected = f"no column {error.path!r} for `{name}`", f"one of {', '.join(known)}"
                problems.append(Problem(entry.where, found, expected, nearest(error.path, known)))
            except NoText as error:
                problems.append(self._no_text(name, error))
        if problems:
            raise UserError(problems)

    def lacking(self) -> str | None:
        """The first of what must be there that the row lacks."""
        names = next(names for names in NEEDED[self.kind] if all(getattr(self.columns, name) for name in names))
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
            wanted, value = getattr(self.columns, name), self.values[name]
            direct = isinstance(wanted, str) and names_in(wanted) == [wanted] and name not in READ_INTO
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
                Problem(self.entry.where, f"`{name}`: `{self._column(name)}` holds {error}", expected, hint)
            ) from None
        shown = {media[1] for turn in turns for media in _MEDIA.finditer(turn.content)}
        if any(not is_missing(self.row.get(one)) for media in shown for one in (media, f"{media}s")):
            raise Unusable(PICTURE)
        return turns

    def system(self, turns: list[Turn]) -> list[Turn]:
        """The turns behind the system's, where there is one."""
        told = self.text("system")
        return [Turn("system", told), *turns] if told and turns and turns[0].role != "system" else turns

    def meta(self) -> dict[str, str]:
        texts = {name: self.text(name) for name in ("subject", "gold")}
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
        place = find_answer(self.text("answer"), choices, labels, answer_is)
        if place is None or len(choices) > len(LETTERS):
            raise Unusable(NONE_OF_THEM if place is None else TOO_MANY)
        stem, explanation, subject = (self.text(name) for name in ("question", "explanation", "subject"))
        return Question(stem, choices, LETTERS[place], explanation, subject)

    def _column(self, name: str) -> str:
        return ", ".join(self.columns.mapped().get(name, ()))

    def _no_text(self, name: str, error: NoText) -> Problem:
        return Problem(self.entry.where, f"`{name}`: {error}", "a text or a number", error.hint)


def _conversations(picked: _Picked, options: Options) -> Iterator[Draft]:
    if picked.columns.messages:
        turns = picked.turns("messages", "user")
    else:
        turns = picked.turns("history", "user") + picked.turns("question", "user") + picked.turns("answer", "assistant")
    turns = picked.system(turns)
    asked = spoken(turns, "user")
    for ending in answered(turns, every=options.train_on == "all_answers"):
        meta = picked.meta()
        if len(ending) < len(turns):
            meta.pop("gold", None)  # it is the last answer's
        yield picked.entry.draft(asked, {"messages": [turn.message() for turn in ending], "meta": meta})


def _pairs(picked: _Picked, _options: Options) -> Iterator[Draft]:
    prompt = picked.turns("history", "user") + picked.turns("prompt", "user")
    chosen, rejected = picked.turns("chosen", "assistant"), picked.turns("rejected", "assistant")
    try:
        asked, better, worse = pair(prompt, chosen, rejected)
    except NoConversation as error:
        expected = "`prompt`, or whole conversations"
        raise UserError(Problem(picked.entry.where, f"`chosen`: {error}", expected)) from None
    asked = picked.system(asked)
    row: dict[str, Any] = {"prompt": spoken(asked), "chosen": better, "rejected": worse, "meta": picked.meta()}
    if len(asked) > 1:
        row["turns"] = [turn.message() for turn in asked]
    yield picked.entry.draft(spoken(asked, "user"), row)


def _texts(picked: _Picked, _options: Options) -> Iterator[Draft]:
    text = picked.text("text")
    yield picked.entry.draft(text, {"text": text})


_MAKE: dict[Kind, Callable[[_Picked, Options], Iterator[Draft]]] = {
    "sft": _conversations,
    "dpo": _pairs,
    "corpus": _texts,
}
