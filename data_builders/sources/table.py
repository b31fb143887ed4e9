"""Any table, by a mapping of its columns: adds a course without code. A line of `physics.csv`

    Frage,A,B,C,Loesung
    "Was misst man in Newton?",Kraft,Arbeit,Leistung,A

is a multiple-choice question by

    {source: table, path: physics.csv,
     columns: {question: Frage, choices: [A, B, C], answer: Loesung, subject: =physics}}

A column's name may be a path into nested objects (`choices.text`); `=physics` is the text itself. Conversations need
`question` and `answer`; pairs `prompt`, `chosen`, `rejected`; MCQ `question`, `choices`, `answer`; a corpus `text`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, model_validator

from data_builders.drafts import Context, Draft, Drop, Entry, Kind, Line, conversation, read_lines
from data_builders.questions import ChoiceOptions, Question, make_rows
from data_builders.tables import CsvForm
from stemma.check import nearest
from stemma.data_section import Section
from stemma.errors import Problem, UserError
from stemma.rows import LETTERS

KINDS = ("sft", "dpo", "mcq", "corpus")
PHASE = "read"
LICENCE = ""

NEEDED: dict[Kind, tuple[str, ...]] = {
    "sft": ("question", "answer"),
    "dpo": ("prompt", "chosen", "rejected"),
    "mcq": ("question", "choices", "answer"),
    "corpus": ("text",),
}


class Columns(Section):
    """Which column holds what."""

    question: str | None = None
    answer: str | None = None
    gold: str | None = None
    """In conversations: the short right answer, to score with."""
    choices: str | list[str] | None = None
    """One column with a list, or a column each."""
    labels: str | None = None
    """The list of the choices' labels, where they are not A, B, …"""
    explanation: str | None = None
    subject: str | None = None
    prompt: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    text: str | None = None


class Options(ChoiceOptions):
    source: Literal["table"]
    columns: Columns
    answer_is: Literal["label", "text", "number", "index"] = "label"
    """What the answer of a multiple-choice question is: a choice's label, its text, its number from 1 or from 0."""
    header: list[str] = []
    """The names of a CSV file's columns, where it has no header line."""
    delimiter: Literal[",", ";", "\t", "|"] = ","

    @model_validator(mode="after")
    def _fills_a_set(self) -> Options:
        if not any(not _absent(self.columns, kind) for kind in NEEDED):
            ways = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in NEEDED.items())
            raise ValueError(f"columns: they fill no set ({ways})")
        return self


class _Row(Line):
    model_config = ConfigDict(extra="allow")


def read(options: Options, context: Context) -> Iterator[Draft | Drop]:
    if absent := _absent(options.columns, context.kind):
        found = f"`columns` does not say where {' and '.join(absent)} stand"
        raise UserError(Problem(f"{options.path} in data.{context.kind}", found, ", ".join(NEEDED[context.kind])))
    for entry in read_lines(options, context, _Row, csv=CsvForm(tuple(options.header), options.delimiter)):
        values = _pick(entry, options.columns)
        missing = [name for name in NEEDED[context.kind] if _is_missing(values[name])]
        if missing:
            yield entry.drop(f"no {missing[0]}")
        elif context.kind == "mcq":
            question = _question(values, options)
            if isinstance(question, str):
                yield entry.drop(question)
            else:
                yield from make_rows(entry, question, options, context)
        else:
            yield _plain(entry, context.kind, {name: _text(value) for name, value in values.items()})


def _absent(columns: Columns, kind: Kind) -> list[str]:
    return [f"`{name}`" for name in NEEDED[kind] if getattr(columns, name) is None]


def _plain(entry: Entry[_Row], kind: Kind, texts: dict[str, str]) -> Draft:
    if kind == "corpus":
        return entry.draft(texts["text"], {"text": texts["text"]})
    meta = {name: texts[name] for name in ("subject", "gold") if texts[name]}
    if kind == "dpo":
        row: dict[str, Any] = {name: texts[name] for name in NEEDED["dpo"]}
        return entry.draft(texts["prompt"], {**row, "meta": meta})
    messages = conversation(texts["question"], texts["answer"])
    return entry.draft(texts["question"], {"messages": messages, "meta": meta})


def _question(values: dict[str, Any], options: Options) -> Question | str:
    if not isinstance(values["choices"], list):
        return "choices are no list"
    choices = [_text(choice) for choice in values["choices"]]
    while choices and not choices[-1]:  # a table of five columns holds questions of four choices too
        choices.pop()
    labels = [_text(label) for label in values["labels"] or LETTERS]
    keys = {
        "label": labels[: len(choices)],
        "text": choices,
        "number": [str(number) for number in range(1, len(choices) + 1)],
        "index": [str(number) for number in range(len(choices))],
    }[options.answer_is]
    answer = _text(values["answer"])
    if options.answer_is in ("number", "index"):
        answer = answer.removesuffix(".0")  # whole numbers beside missing ones are stored as floats
    if answer not in keys or len(choices) > len(LETTERS):
        return "the answer is none of the options"
    stem, explanation, subject = (_text(values[name]) for name in ("question", "explanation", "subject"))
    return Question(stem, choices, LETTERS[keys.index(answer)], explanation, subject)


def _pick(entry: Entry[_Row], columns: Columns) -> dict[str, Any]:
    """The value of every mapped column, None for the others. Raises UserError naming those that are not there."""
    row: dict[str, Any] = entry.line.model_extra or {}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in Columns.model_fields:
        wanted = getattr(columns, name)
        try:
            many = isinstance(wanted, list)
            values[name] = [_value(row, path) for path in wanted] if many else wanted and _value(row, wanted)
        except KeyError as error:
            path, known = error.args[0], list(_paths(row))
            found, expected = f"no column {path!r} for `{name}`", f"one of {', '.join(known)}"
            problems.append(Problem(entry.where, found, expected, nearest(path, known)))
    if problems:
        raise UserError(problems)
    return values


def _value(row: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, the text behind `=`. Raises KeyError with the path."""
    if path.startswith("="):
        return path[1:]
    if path in row:
        return row[path]
    value: Any = row
    for step in path.split("."):
        if not isinstance(value, dict) or step not in value:
            raise KeyError(path)
        value = value[step]
    return value


def _paths(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _is_missing(value: Any) -> bool:
    return value is None or value in ("", []) or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str:
    return "" if _is_missing(value) else str(value).strip()
