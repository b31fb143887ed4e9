r"""Any table, by a mapping of its columns: adds a course without code. A line of `physics.csv`

    Frage,A,B,C,Loesung
    "Was misst man in Newton?",Kraft,Arbeit,Leistung,A

is a multiple-choice question by

    {source: table, path: physics.csv,
     columns: {question: Frage, choices: [A, B, C], answer: Loesung, subject: =physics}}

A column is named as `stemma/reading/columns.py` says: a path (`answers.text[0]`), a text
itself (`=physics`), or several joined (`"{instruction}\n\n{input}"`). Without `columns` the rows
must be in one of the field's own forms, which `data_builders/reading/mapping.py` lists: OpenAI's
`messages`, ShareGPT's `conversations`, Alpaca, prompts and completions; pairs as TRL,
UltraFeedback, HH, Axolotl and LLaMA-Factory write them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import (
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from data_builders.flow import DataSource, Draft, Drop, Kind, SourceContext
from data_builders.questions import ChoiceOptions, make_rows
from data_builders.reading.choices import (
    AnswerIs,
    bare_stem,
)
from data_builders.reading.conversations import (
    NoConversation,
    Unusable,
    answered,
    pair,
    printable,
    spoken,
)
from data_builders.reading.files import FileRow, read_lines
from data_builders.reading.mapped_rows import MappedRow, TableRow
from data_builders.reading.mapping import (
    FORMS,
    MARKED,
    NEEDED,
    Columns,
    absent,
    form_of,
    ways,
)
from stemma.errors import Problem, Problems, UserError
from stemma.reading.columns import (
    Cells,
    is_missing,
)
from stemma.reading.printed import Prints
from stemma.reading.tables import CsvForm

MARKED_WRONG = "its answer is marked as a bad one"


class Options(ChoiceOptions):
    source: Literal["table"]
    columns: Columns | None = None
    """Which column holds what; without it, rows must be in one of the field's own forms."""
    train_on: Literal["all_answers", "last_answer"] = "all_answers"
    """Of a conversation of several turns: a row for each answer, or one row for the last."""
    answer_is: AnswerIs = "label"
    """What the answer of a multiple-choice question is: a choice's label, its text, its number from
    1 or from 0."""
    header: list[str] = []
    """The names of a CSV file's columns, where it has no header line."""
    delimiter: Literal[",", ";", "\t", "|"] = ","
    """What stands between the cells of a CSV file."""
    encoding: str = "utf-8"
    """How a CSV file's text is encoded, e.g. `cp1252` as Excel writes it in western Europe."""

    @field_validator("encoding")
    @classmethod
    def _is_of_text(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            expected = "a name that Python knows, e.g. utf-8, utf-16, cp1252"
            raise ValueError(f"encoding: no text encoding `{value}`; {expected}") from None
        return value

    @model_serializer(mode="wrap")
    def _without_utf8(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The options, `encoding` only where it is another: recipes without it keep their keys."""
        found: dict[str, Any] = dump(self)
        return {name: found[name] for name in found if (name, found[name]) != ("encoding", "utf-8")}

    @model_validator(mode="after")
    def _fills_a_set(self) -> Options:
        if self.columns and all(absent(self.columns, kind) for kind in NEEDED):
            raise ValueError(
                "columns: they fill no set "
                f"({'; '.join(f'{kind}: {ways(kind)}' for kind in NEEDED)})"
            )
        return self


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    where = f"{options.path} in data.{context.kind}"
    if options.columns is None and not FORMS[context.kind]:
        raise UserError(Problem(where, "no `columns`", ways(context.kind)))
    if options.columns and (lacking := absent(options.columns, context.kind)):
        found = f"`columns` does not say where {' and '.join(lacking)} stand"
        raise UserError(Problem(where, found, ways(context.kind)))
    yield from _Reading(options, context).items()


SOURCE = DataSource(
    kinds=("sft", "dpo", "mcq", "corpus"), phase="read", licence="", options=Options, read=read
)


@dataclass
class _Reading:
    """One source being read: the problems in its rows, and the columns that are filled for
    nothing."""

    options: Options
    context: SourceContext
    problems: Problems = field(default_factory=Problems)
    filled: dict[str, None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    other_order: list[str] = field(
        default_factory=list
    )  # where questions list their options otherwise than `choices`
    prints: Prints = field(default_factory=Prints)

    def items(self) -> Iterator[Draft | Drop]:
        form = CsvForm(tuple(self.options.header), self.options.delimiter, self.options.encoding)
        try:
            for entry in read_lines(self.options, self.context, TableRow, csv=form):
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
            yield (
                f"{count} questions list their options otherwise than `choices` {where}; a "
                "letter was taken as its"
            )

    def _make(self, entry: FileRow[TableRow]) -> list[Draft | Drop]:
        """The rows of one entry. Raises UserError with all that is wrong in it."""
        cells = Cells(entry.line.model_extra or {})
        self.filled |= {name: None for name, value in cells.row.items() if not is_missing(value)}
        columns = self.options.columns or form_of(entry.where, cells.row, self.context.kind)
        picked = MappedRow(entry, cells, columns, self.context.kind)
        self.used |= cells.read | (set(MARKED) if self.options.columns is None else set())
        try:
            if self.options.columns is None and any(
                cells.row.get(name) is False for name in MARKED
            ):
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


def _conversations(picked: MappedRow, options: Options) -> Iterator[Draft]:
    if picked.columns.messages:
        turns = picked.turns("messages", "user")
    else:
        turns = (
            picked.turns("history", "user")
            + picked.turns("question", "user")
            + picked.turns("answer", "assistant")
        )
    turns = picked.system(turns)
    asked = spoken(turns, "user")
    for ending in answered(turns, every=options.train_on == "all_answers"):
        meta = picked.meta()
        if len(ending) < len(turns):
            for name in ("gold", "support"):  # they are the last answer's
                meta.pop(name, None)
        yield picked.entry.draft(
            asked, {"messages": [turn.message() for turn in ending], "meta": meta}
        )


def _pairs(picked: MappedRow, _options: Options) -> Iterator[Draft]:
    prompt = picked.turns("history", "user") + picked.turns("prompt", "user")
    chosen = picked.turns("chosen", "assistant")
    rejected = picked.turns("rejected", "assistant")
    try:
        asked, better, worse = pair(prompt, chosen, rejected)
    except NoConversation as error:
        expected = "`prompt`, or whole conversations"
        raise UserError(Problem(picked.entry.where, f"`chosen`: {error}", expected)) from None
    asked = picked.system(asked)
    row: dict[str, Any] = {
        "prompt": spoken(asked),
        "chosen": better,
        "rejected": worse,
        "meta": picked.meta(),
    }
    if len(asked) > 1:
        row["turns"] = [turn.message() for turn in asked]
    yield picked.entry.draft(spoken(asked, "user"), row)


def _texts(picked: MappedRow, _options: Options) -> Iterator[Draft]:
    text = picked.text("text")
    yield picked.entry.draft(text, {"text": text})


_MAKE: dict[Kind, Callable[[MappedRow, Options], Iterator[Draft]]] = {
    "sft": _conversations,
    "dpo": _pairs,
    "corpus": _texts,
}
