"""The sets that a file can fill, and which of its columns holds what.

Columns are known by their names in several languages, and where names say nothing by what they
hold: letters under one column, question marks under another, and as many columns of short texts
as there are letters. Where two columns may be meant, it is refused rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from data_builders.flow import Kind
from data_builders.new_recipe.look import Seen
from data_builders.new_recipe.names import alike, named, saying
from data_builders.reading.choices import AnswerIs, find_answer, read_choices
from data_builders.reading.conversations import NoConversation, turns_of
from data_builders.reading.mapping import FORMS
from stemma.errors import Problem, UserError
from stemma.reading.columns import NoText, as_text
from stemma.reading.labels import bare_label
from stemma.reading.printed import unprinted
from stemma.rows import LETTERS

A_CHOICE = re.compile(
    r"(?:choice|option|answer|alternative|antwort(?:möglichkeit)?|wahl|réponse|reponse|opción"
    r"|opcion|opzione|risposta|respuesta)?[ _.-]*([a-z]|\d{1,2})"
)
SHORT_ANSWER = 8
"""Words of a usual answer up to which it is what to score with, beside an explanation."""
TAKEN_AS_THEY_ARE = frozenset(
    ["messages", "conversations", "conversation", "instruction", "preferred_output"]
)
"""Columns of the field's own forms, which the source `table` reads without a mapping."""


@dataclass(frozen=True)
class Guess:
    """What a file fills: one set by one mapping of its columns."""

    seen: Seen
    kind: Kind
    columns: Mapping[str, str | list[str]] = field(default_factory=dict)
    """Empty: its rows are in one of the forms that need no mapping."""
    answer_is: AnswerIs = "label"

    @property
    def unused(self) -> list[str]:
        """The named columns that nothing is made of."""
        used = _flat(self.columns)
        return [name for name in self.seen.columns if name not in used and self.columns]


def guess(seen: Seen) -> Guess | None:
    """The set that the file can fill; None where nothing is recognised. Raises UserError where two
    columns may be meant."""
    if form := _known_form(seen):
        return form
    found = _pairs(seen) or _right_and_wrong(seen) or _choices(seen) or _answers(seen)
    return found or _conversations(seen)


def _known_form(seen: Seen) -> Guess | None:
    """Rows in the forms that other tools write."""
    names = frozenset(seen.columns)
    if not TAKEN_AS_THEY_ARE & names and not _whole_pairs(names):
        return None
    kinds: tuple[Kind, ...] = ("dpo", "sft")
    for kind in kinds:
        for form in FORMS[kind]:
            wanted = re.findall(r"\{(\w+)\}|^(\w+)", "\n".join(form.values()), re.MULTILINE)
            if names.issuperset(first or second for first, second in wanted):
                return Guess(seen, kind)
    return None


def _whole_pairs(names: frozenset[str]) -> bool:
    """Two whole conversations, and no question beside them."""
    return {"chosen", "rejected"} <= names and not named(list(names), "question")


def _conversations(seen: Seen) -> Guess | None:
    """A column that holds nothing but conversations, whatever it is called."""
    for name in seen.columns:
        cells = [unprinted(row.get(name)) for row in seen.rows[:50]]
        if all(isinstance(cell, list) and _are_turns(cell) for cell in cells):
            return Guess(seen, "sft", _with_more(seen, {"messages": name}))
    return None


def _are_turns(cell: list[Any]) -> bool:
    try:
        return len(turns_of(cell, "user")) > 1
    except NoConversation:
        return False


def _pairs(seen: Seen) -> Guess | None:
    chosen = named(seen.columns, "chosen")
    rejected = named(seen.columns, "rejected", [chosen] if chosen else [])
    if not (chosen and rejected):
        return None
    question = named(seen.columns, "question", [chosen, rejected])
    columns = _with_more(seen, {"prompt": question, "chosen": chosen, "rejected": rejected})
    return Guess(seen, "dpo", columns) if question else None


def _right_and_wrong(seen: Seen) -> Guess | None:
    """A right answer beside wrong ones: a pair with one of them, multiple choice with several."""
    wrong = saying(seen.columns, "wrong")
    right = [name for name in saying(seen.columns, "right") if name not in wrong]
    question = named(seen.columns, "question", [*wrong, *right])
    if not (question and wrong and len(right) == 1):
        return None
    if len(wrong) == 1:
        pair = {"prompt": question, "chosen": right[0], "rejected": wrong[0]}
        return Guess(seen, "dpo", _with_more(seen, pair))
    found: dict[str, str | list[str] | None] = {
        "question": question,
        "choices": [right[0], *wrong],
        "answer": right[0],
    }
    return Guess(seen, "mcq", _with_more(seen, found), "text")


def _choices(seen: Seen) -> Guess | None:
    question = named(seen.columns, "question")
    choices = _list_of_choices(seen) or _columns_of_choices(seen, question)
    if not choices:
        return None
    used = [choices] if isinstance(choices, str) else choices
    question = question if question not in used else None
    question = question or _longest(seen, used)
    answer = named(seen.columns, "answer", [*used, question or ""]) or _lettered(seen, used)
    if question and answer and (how := _answer_is(seen, choices, answer)):
        found = {"question": question, "choices": choices, "answer": answer}
        if explanation := named(seen.columns, "explanation", [*used, question, answer]):
            found["explanation"] = explanation
        return Guess(seen, "mcq", _with_more(seen, found), how)
    if isinstance(choices, list) and question:
        raise UserError(_which_is_right(seen, choices, answer))
    return None


def _which_is_right(seen: Seen, choices: Sequence[str], answer: str | None) -> Problem:
    said = f", and `{answer}` (`{seen.values(answer)[0]}`, …) names none" if answer else ""
    found = f"choices under {', '.join(choices)}{said}"
    expected = "a column that says which one is right: its letter, its number from 1, or its text"
    hint = "give the file one column `answer` with the letter of the right choice"
    return Problem(str(seen.path), found, expected, hint)


def _answers(seen: Seen) -> Guess | None:
    question = named(seen.columns, "question") or _asking(seen)
    if question is None:
        return None
    answer = named(seen.columns, "answer", [question])
    others = [name for name in seen.columns if name != question]
    if answer is None and _asking(seen) and len(others) == 1 and others[0]:
        answer = others[0]  # of two columns the other one
    if answer is None:
        return None
    if len(several := [one for one in alike(answer, seen.columns) if one != question]) > 1:
        raise UserError(_which_answer(seen, several))
    found: dict[str, str | list[str]] = {"question": question, "answer": answer}
    explanation = named(seen.columns, "explanation", [question, answer])
    if explanation and _usual_words(seen, answer) < SHORT_ANSWER:
        # A short answer is what to score with; its explanation is what to learn.
        found |= {"answer": explanation, "gold": answer}
    return Guess(seen, "sft", _with_more(seen, found))


def _which_answer(seen: Seen, several: Sequence[str]) -> Problem:
    found = f"each of {', '.join(several)} may be the answer"
    expected = "one column `answer`, or a better and a worse one"
    hint = "rename them in the header line: `answer`; or `chosen` and `rejected`"
    return Problem(str(seen.path), found, expected, hint)


def _asking(seen: Seen) -> str | None:
    """The one column whose cells mostly end in a question mark."""
    asking = [name for name in seen.columns if name and seen.share(name, _ASKS) > 0.5]
    return asking[0] if len(asking) == 1 else None


_ASKS = re.compile(r"[?？؟]\s*$")


def _with_more(
    seen: Seen, found: Mapping[str, str | list[str] | None]
) -> dict[str, str | list[str]]:
    """The mapping, with the subject and what the model is told before, where there are such."""
    columns = {name: value for name, value in found.items() if value}
    for more in ("subject", "system"):
        if "choices" in columns and more == "system":
            continue
        if column := named(seen.columns, more, _flat(columns)):
            columns[more] = column
    return columns


def _flat(columns: Mapping[str, str | list[str]]) -> list[str]:
    lists = (one if isinstance(one, list) else [one] for one in columns.values())
    return [name for one in lists for name in one]


def _list_of_choices(seen: Seen) -> str | None:
    """The one column that holds whole lists of choices."""
    for name in (named(seen.columns, "choices"), *seen.columns):
        values = [row.get(name) for row in seen.rows] if name else []
        held = [value for value in values if value is not None]
        if name and held and all(_is_list(value, name) for value in held[:50]):
            return name
    return None


def _is_list(value: Any, name: str) -> bool:
    try:
        found = read_choices(value, name)
    except NoText:
        return False
    return found is not None and len(found[0]) > 1


def _columns_of_choices(seen: Seen, question: str | None) -> list[str]:
    """The columns that are a choice each, by their names: A, B, C; option 1, option 2; …"""
    marks: dict[str, str] = {}
    for name in seen.columns:
        short = re.split(r"\s+[-–(]", name.casefold().strip())[0]  # Kahoot: `Answer 1 - max 75 …`
        if name != question and (found := A_CHOICE.fullmatch(short)):
            marks.setdefault(found[1], name)
    for expected in (
        list(LETTERS.lower()),
        [str(n) for n in range(1, 27)],
        [str(n) for n in range(26)],
    ):
        run = [marks[mark] for mark in takewhile(marks.__contains__, expected)]
        if len(run) > 1:
            return run
    return []


def _longest(seen: Seen, but: Sequence[str]) -> str | None:
    """The column of the longest texts: a question, where its name says nothing."""
    left = [name for name in seen.columns if name not in but]
    return max(left, key=lambda name: _usual_words(seen, name), default=None)


def _lettered(seen: Seen, but: Sequence[str]) -> str | None:
    """The column that holds nothing but a letter, `C` or `c)` or `(C)`."""
    for name in seen.columns:
        letters = [bare_label(value) for value in seen.values(name)]
        if name not in but and letters and all(len(one) == 1 and one in LETTERS for one in letters):
            return name
    return None


def _usual_words(seen: Seen, name: str) -> float:
    values = seen.values(name)
    return sum(len(value.split()) for value in values) / len(values) if values else 0.0


def _answer_is(seen: Seen, choices: str | list[str], answer: str) -> AnswerIs | None:
    """How the right choice is named: the way that fits the most rows; None where none fits half of
    them. `label` before `number` before `index`: where all answers are digits, 0 among them tells.
    """
    ways: tuple[AnswerIs, ...] = ("label", "text", "number", "index")
    fits = {way: _fitting(seen, choices, answer, way) for way in ways}
    best = max(ways, key=lambda way: fits[way])
    return best if fits[best] >= len(seen.rows) / 2 else None


def _fitting(seen: Seen, choices: str | list[str], answer: str, way: AnswerIs) -> int:
    count = 0
    for row in seen.rows:
        held = row.get(choices) if isinstance(choices, str) else [row.get(one) for one in choices]
        try:
            texts, labels = read_choices(held, answer) or ([], [])
            count += find_answer(as_text(row.get(answer), answer), texts, labels, way) is not None
        except NoText:
            continue
    return count
