"""Multiple-choice questions as sources read them, and the rows they become: with the letter,
explained, or both.

    Question("What is 12 + 7?", ["18", "19"], "B", explanation="12 + 7 = 19.")

gives the MCQ rows `B` and `B` + explanation, or a conversation that explains first and ends in
`Answer: B. 19`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from data_builders.flow import Draft, Drop, SourceContext, conversation
from data_builders.reading.choices import bare_stem
from data_builders.reading.files import AnyForm, FileOptions, FileRow
from stemma.rows import LETTERS, lettered


class ChoiceOptions(FileOptions):
    """Options of a source of questions that come with explanations."""

    answer_as: Literal["letter", "explained", "both"] = "letter"
    """MCQ rows answered with the letter, with the letter and the explanation, or one row of
    each."""


@dataclass(frozen=True)
class Question:
    stem: str
    choices: list[str]
    answer: str
    """The letter of the right choice."""
    explanation: str = ""
    subject: str = ""
    meta: dict[str, str | int | float | None] = field(default_factory=dict)
    support: str = ""
    """The passage that its answer stands in, where the source knows it."""

    @property
    def right(self) -> str:
        return self.choices[LETTERS.index(self.answer)]


def make_rows(
    entry: FileRow[AnyForm], question: Question, options: ChoiceOptions, context: SourceContext
) -> Iterator[Draft | Drop]:
    """One row, or two where `answer_as` is `both`: each a draft, or a drop where there is no
    explanation to give.

    A question that lists its options itself loses them: they are shown once, in the order of
    `choices`."""
    question = replace(question, stem=bare_stem(question.stem, question.choices)[0])
    if context.kind == "sft":
        yield _explain_first(entry, question)
        return
    for answer_as in (
        ("letter", "explained") if options.answer_as == "both" else (options.answer_as,)
    ):
        row: dict[str, Any] = {
            "question": question.stem,
            "choices": question.choices,
            "answer": question.answer,
        }
        meta = question.meta | ({"support": question.support} if question.support else {})
        row |= {"answer_as": answer_as, "subject": question.subject, "meta": meta}
        if answer_as == "letter":
            yield entry.draft(question.stem, row)
        else:
            problem = _refuse(question.explanation)
            explained = {**row, "explanation": question.explanation}
            yield entry.drop(problem) if problem else entry.draft(question.stem, explained)


def _explain_first(entry: FileRow[AnyForm], question: Question) -> Draft | Drop:
    if problem := _refuse(question.explanation):
        return entry.drop(problem)
    answer = f"{question.explanation}\n\nAnswer: {question.answer}. {question.right}"
    meta = {**question.meta, "gold": question.right, "subject": question.subject}
    meta |= {"support": question.support} if question.support else {}
    asked = f"{lettered(question.stem, question.choices)}\n\nExplain, then give the letter."
    row: dict[str, Any] = {"messages": conversation(asked, answer), "meta": meta}
    return entry.draft(question.stem, row)


# An explanation that names letters is wrong as soon as the choices are shuffled.
_NAMES_A_LETTER = re.compile(
    r"\b(?:answers?|ans|options?|choices?)\s*(?:is|:|=|-)?\s*[(\[]?\s*[a-e]\b(?!\s*['’])|[(\[]\s*[a-e]\s*[)\]]\s*(?:is|are)\b",
    re.IGNORECASE,
)


def _refuse(explanation: str) -> str | None:
    if not explanation.strip():
        return "no explanation"
    return "explanation names a letter" if _NAMES_A_LETTER.search(explanation) else None


_WORD = r"(?:answers?|ans|options?|choice|alternative)"
_LINK = (
    r"(?:\s*(?:choice|option|letter|will|must|should|would|be|is|are|definitely|the|correct"
    r"|[:=.,;→>–-]))*"
)
_LEAD = r"[\s,;:=→>–(\[-]*(?:\b(?:so|hence|thus|therefore|and|this is|that is|which is)\b[\s,.:]*)*"
_QUALITY = r"(?:\b(?:the|our|correct|right|final|required|best|only)\b\s*)*"
_SAID = r"[(\[]?\s*\b([a-z])\b\s*[)\]]?"
_VERDICT = rf"\s*is\s*(?:the\s*|our\s*)?(?:correct|right|{_WORD})(?:\s+{_WORD})?"
_MARKS = r"[\s.,;:!?)\]\"'…]*$"
_CLOSINGS = [
    re.compile(closing, re.IGNORECASE)
    for closing in (
        rf"{_LEAD}{_QUALITY}\b{_WORD}{_LINK}(?:\s*{_WORD}{_LINK})?\s*{_SAID}(?:{_VERDICT})?{_MARKS}",
        rf"{_LEAD}{_SAID}{_VERDICT}{_MARKS}",
        rf"(?:^|(?<=[\s.%\d])){_SAID}{_MARKS}",
    )
]
_CAN_CLOSE = re.compile(rf"(?:\b[a-z]|correct|right|{_WORD}){_MARKS}", re.IGNORECASE)
_REACH = 100
"""How many characters from the end a closing begins at most."""


def without_letter(explanation: str, letter: str, choice: str) -> str:
    """The explanation without the letter it closes with: `… answer : c`, `Hence (C) is the
    answer.`, `… C) 18`."""
    while (end := _closing(explanation, letter, choice)) is not None:
        explanation = explanation[:end].rstrip(" \n\t;,:=>-([–")
    return explanation


def _closing(text: str, letter: str, choice: str) -> int | None:
    """Where the letter's statement begins; behind it the choice's own text may stand."""
    start = max(0, len(text) - _REACH)
    bare = text.rstrip(" \n.;)")
    tails = [text, bare.removesuffix(choice)] if choice and bare.endswith(choice) else [text]
    for tail in tails:
        if not _CAN_CLOSE.search(
            tail, max(start, len(tail) - 20)
        ):  # cheap, and nearly always the answer
            continue
        for closing in _CLOSINGS:
            if (found := closing.search(tail, start)) and found[1].upper() == letter:
                return found.start()
    return None
