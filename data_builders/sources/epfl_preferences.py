"""The EPFL preference data: students compared two answers to a question. As released, one JSON
array of questions:

    {"question_id": 12, "question_complete": "Question: Which …?\\n\\nOptions:\\nA. …\\nB. …",
     "course_id": 1,
     "preference": [{"A": "The right option is …", "B": "It is …", "overall": "A",
                     "criteria": {"overall": "A", "correctness": "AB", "relevance": "A",
                                  "clarity": "A", "completeness": "B", "other": "None"}}, …]}

or as each student submitted it, one JSON array of comparisons:

    {"course_id": 1, "question_id": 12, "question": "Which …?", "A_chat_id": 7, "B_chat_id": 8,
     "A": "…", "B": "…",      "ranking_criteria": {"overall": "A", "correctness": "AB", …}}

Each comparison gives one pair (dpo), or its better answer (sft). Each question gives one row in
mcq: the right letter is not in the data, so it is what the better answers state, where they were
judged correct and agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from data_builders.flow import DataSource, Draft, Drop, SourceContext, conversation
from data_builders.reading.files import FileOptions, FileRow, RowForm, read_lines
from data_builders.split import bare
from stemma.answers.options import stated_choice
from stemma.mcq_layout import parse_mcq

Verdict = Literal["A", "B", "AB", "None"]


class Options(FileOptions):
    source: Literal["epfl_preferences"]
    agreement: Annotated[float, Field(gt=0.5, le=1)] = 2 / 3
    """In mcq: the share of the answers that must state the same letter,"""
    votes: Annotated[int, Field(ge=1, le=10**6)] = 2
    """and how many answers that must be at least."""


class _Criteria(RowForm):
    overall: str | None = None
    correctness: Verdict
    relevance: Verdict
    clarity: Verdict
    completeness: Verdict
    other: str | None = None
    modified: object = None

    def verdicts(self) -> dict[str, str]:
        return {
            name: getattr(self, name)
            for name in ("correctness", "relevance", "clarity", "completeness")
        }


@dataclass(frozen=True)
class _Comparison:
    """One comparison, whatever form it came in."""

    A: str
    B: str
    overall: str | None
    criteria: _Criteria

    def ranked(self) -> tuple[str, str]:
        """(chosen, rejected)."""
        return (self.A, self.B) if self.overall == "A" else (self.B, self.A)

    def problem(self) -> str | None:
        if self.overall not in ("A", "B"):
            return "no overall verdict"
        return (
            "overall verdicts differ" if self.criteria.overall not in (None, self.overall) else None
        )

    def is_correct(self) -> bool:
        return (self.overall or "?") in self.criteria.correctness


class _Answers(RowForm):
    A: str | None
    B: str | None
    overall: str | None = None
    criteria: _Criteria


class _Released(RowForm):
    question_id: int
    question_complete: str
    course_id: int
    preference: list[_Answers]

    def text(self) -> str:
        return bare(self.question_complete)

    def comparisons(self) -> list[_Comparison]:
        return [_Comparison(p.A or "", p.B or "", p.overall, p.criteria) for p in self.preference]


class _Submitted(RowForm):
    course_id: int
    question_id: int
    question: str
    A_chat_id: int | str
    B_chat_id: int | str
    A: str | None
    B: str | None
    ranking_criteria: _Criteria

    def text(self) -> str:
        return bare(self.question)

    def comparisons(self) -> list[_Comparison]:
        return [
            _Comparison(
                self.A or "", self.B or "", self.ranking_criteria.overall, self.ranking_criteria
            )
        ]


_Entry = FileRow[_Released | _Submitted]


def read(options: Options, context: SourceContext) -> Iterator[Draft | Drop]:
    entries: Iterator[_Entry] = read_lines(options, context, _Released, _Submitted)
    if context.kind == "mcq":
        yield from _derive_letters(entries, options)
        return
    for entry in entries:
        compared = entry.line.comparisons()
        if not compared:
            yield entry.drop("no comparison")
        for number, comparison in enumerate(compared, start=1):
            where = entry.where + (f" pair {number}" if len(compared) > 1 else "")
            row = {
                "question": entry.line.text(),
                "A": comparison.A,
                "B": comparison.B,
                "overall": comparison.overall,
            }
            if reason := comparison.problem():
                yield Drop(where, reason, row)
            else:
                row = _make(comparison, entry, context.kind)
                yield Draft(where, entry.line.text(), row, entry.file)


SOURCE = DataSource(
    kinds=("sft", "dpo", "mcq"), phase="read", licence="unlicensed", options=Options, read=read
)


def _make(comparison: _Comparison, entry: _Entry, kind: str) -> dict[str, Any]:
    question = entry.line.text()
    chosen, rejected = comparison.ranked()
    if kind == "sft":
        return {"messages": conversation(question, chosen), "meta": _origin(entry)}
    # The verdicts speak of A and B: `overall` says which of them is chosen.
    meta = {**_origin(entry), "overall": comparison.overall, **comparison.criteria.verdicts()}
    return {"prompt": question, "chosen": chosen, "rejected": rejected, "meta": meta}


def _origin(entry: _Entry) -> dict[str, int]:
    return {"course_id": entry.line.course_id, "epfl_question_id": entry.line.question_id}


@dataclass
class _Poll:
    """The letters that the better answers to one question state. Of their texts only hashes are
    kept: together they are large."""

    where: str
    file: str
    meta: dict[str, int]
    heard: set[int] = field(default_factory=set)
    stated: Counter[str] = field(default_factory=Counter)

    def hear(self, answer: str, choices: list[str]) -> None:
        if hash(answer) not in self.heard:  # the same answer in two comparisons is one vote
            self.heard.add(hash(answer))
            self.stated.update(filter(None, [stated_choice(answer, choices)]))


def _derive_letters(entries: Iterator[_Entry], options: Options) -> Iterator[Draft | Drop]:
    """One row a question: submissions of the same question are taken together."""
    polls: dict[str, _Poll] = {}
    for entry in entries:
        text = entry.line.text()
        poll = polls.setdefault(text, _Poll(entry.where, entry.file, _origin(entry)))
        if parsed := parse_mcq(text):
            for comparison in entry.line.comparisons():
                if not comparison.problem() and comparison.is_correct():
                    poll.hear(comparison.ranked()[0], list(parsed[1].values()))
    for text, poll in polls.items():
        parsed = parse_mcq(text)
        if parsed is None:
            yield Drop(poll.where, "not a multiple-choice question", {"question": text})
            continue
        letter, votes = poll.stated.most_common(1)[0] if poll.stated else ("", 0)
        voters = poll.stated.total()
        meta = {**poll.meta, "votes": votes, "voters": voters}
        row = {
            "question": parsed[0],
            "choices": list(parsed[1].values()),
            "answer": letter,
            "meta": meta,
        }
        if votes >= max(options.votes, options.agreement * voters):
            yield Draft(poll.where, parsed[0], row, poll.file)
        else:
            yield Drop(poll.where, "no agreed letter", row)
