"""Entries of the page's sample browser: a question, its right answer, and what each variant said.

Variants that answered alike stand together. Texts are cut at a stated length and cleaned of
characters that could hide or reorder what is read. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from report.benchmarks import answer_of, is_benchmark
from report.outcomes import WORDS, outcome
from report.questions import AskedQuestion
from report.readable import fixed, words
from stemma.rows import LETTERS
from stemma.visible import visible

TEXT_CHARACTERS = 2_000
"""The length at which a text on the page is cut; the files hold it whole."""
UNSAID = {"id", "ids_digest", "doc_id"}
"""Fields of a sample that tell a reader nothing."""
Record = Mapping[str, Any]
"""A sample, as evaluation wrote it."""


@dataclass(frozen=True)
class Answer:
    """One answer, and the variants that gave it, each with what else was measured of it."""

    text: str
    outcome: str
    variants: dict[str, str]


@dataclass(frozen=True)
class Entry:
    """One test question and its answers."""

    task: str
    id: str
    group: str
    parts: tuple[tuple[str, str], ...]
    gold: str
    answers: tuple[Answer, ...]
    after: tuple[tuple[str, str], ...] = ()
    """Headed texts behind the answers: what a judge said of them."""

    @property
    def characters(self) -> int:
        """Its length on the page, about: each answer's text once, and the names."""
        asked = sum(len(head) + len(text) for head, text in (*self.parts, *self.after))
        said = sum(len(answer.text) + 24 * len(answer.variants) for answer in self.answers)
        return asked + said + len(self.gold) + 120


@dataclass(frozen=True)
class GivenAnswer:
    """One variant's answer to one question, no longer than the page shows it."""

    text: str
    outcome: str
    note: str
    """What else was measured of it."""
    gold: str
    """The right answer, where the sample itself holds it."""
    group: str


def reply_of(task: str, record: Record, question: AskedQuestion | None) -> GivenAnswer:
    """What one sample says."""
    text, note = said(task, record, question)
    gold = record.get("gold", record.get("answer", record.get("target", "")))
    group = record.get("subject") or record.get("source") or ""
    return GivenAnswer(
        cut(text), WORDS[outcome(record)], note, cut(words(gold)), visible(words(group))
    )


def entry_of(
    task: str, row: str, question: AskedQuestion | None, replies: Mapping[str, GivenAnswer]
) -> Entry:
    """The entry of one row from each variant's reply to it."""
    answers: dict[tuple[str, str], dict[str, str]] = {}
    for variant, reply in replies.items():
        answers.setdefault((reply.text, reply.outcome), {})[variant] = reply.note
    first = next(iter(replies.values()))
    return Entry(
        task=task,
        id=visible(row),
        group=visible(question.group) if question else first.group,
        parts=tuple((head, cut(text)) for head, text in (question.parts if question else ())),
        gold=cut(question.gold) if question else first.gold,
        answers=tuple(Answer(*key, names) for key, names in answers.items()),
    )


def said(task: str, record: Record, question: AskedQuestion | None) -> tuple[str, str]:
    """What the variant answered, in words, and a note of what else was measured."""
    if task == "mcq" and "picked" in record:
        return _picked(record, question)
    if task == "preference" and "margin" in record:
        margin = record["margin"]
        side = "the chosen" if margin > 0 else "the rejected" if margin < 0 else "neither"
        return f"prefers {side} answer", f"margin {fixed(margin, 3, signed=True)}"
    if is_benchmark(record):
        return answer_of(record), ""
    if isinstance(record.get("reply"), str):
        ended = "" if record.get("stopped", True) else ", cut at its limit"
        length = f"{record['tokens']} tokens{ended}" if "tokens" in record else ""
        return record["reply"] or "(nothing)", length
    others = {name: value for name, value in record.items() if name not in UNSAID}
    return "\n".join(f"{name}: {words(value)}" for name, value in others.items()), ""


def _picked(record: Record, question: AskedQuestion | None) -> tuple[str, str]:
    letter = str(record["picked"])
    place = LETTERS.find(letter)
    choices = question.choices if question else ()
    text = f"{letter}. {choices[place]}" if 0 <= place < len(choices) else letter
    notes = ["tied with another"] if record.get("tied") else []
    if "said" in record:  # the letter that was also generated
        notes.append(f"wrote {record['said'] or 'no letter'}")
    return text, ", ".join(notes)


def cut(text: str) -> str:
    """A text as the page shows it: cleaned, and no longer than a reader will look at."""
    left_out = len(text) - TEXT_CHARACTERS
    if left_out <= 0:
        return visible(text)
    return f"{visible(text[:TEXT_CHARACTERS])} … ({left_out:,} more characters in the file)"


def embedded(entry: Entry, variants: list[str]) -> dict[str, Any]:
    """The entry as the page's script reads it: variants by their number."""
    return {
        "task": entry.task,
        "id": entry.id,
        "group": entry.group,
        "parts": [list(part) for part in entry.parts],
        "gold": entry.gold,
        "answers": [
            {
                "text": answer.text,
                "outcome": answer.outcome,
                "by": [[variants.index(name), note] for name, note in answer.variants.items()],
            }
            for answer in entry.answers
        ],
        "after": [list(part) for part in entry.after],
    }
