"""The sets that a file can fill, and which of its columns holds what.

Columns are known by their names in several languages, and where names say nothing by what they
hold: letters under one column, and as many columns of short texts before it as there are letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from data_builders.flow import Kind
from data_builders.new_recipe.look import Seen
from data_builders.reading.choices import AnswerIs, find_answer, read_choices
from data_builders.reading.mapping import FORMS
from stemma.reading.columns import NoText
from stemma.rows import LETTERS

NAMES: Mapping[str, tuple[str, ...]] = {
    name: tuple(words.split())
    for name, words in {
        "question": "question prompt problem query instruction stem item exercise frage aufgabe "
        "fragestellung pregunta domanda pergunta vraag fraga",
        "answer": "answer solution correct key label response output completion reply target gold "
        "antwort losung loesung richtig musterlosung reponse bonnereponse respuesta solucion "
        "correcta risposta soluzione resposta antwoord svar",
        "choices": "choices options alternatives candidates antworten antwortmoglichkeiten auswahl "
        "choix opciones opzioni opcoes",
        "chosen": "chosen better good preferred accepted best bessere besser gute gut meilleure "
        "mejor migliore",
        "rejected": "rejected worse bad dispreferred poor weak schlechtere schlechter schlecht "
        "mauvaise pire peor peggiore",
        "explanation": "explanation rationale reasoning why comment erklarung begrundung "
        "explication explicacion spiegazione",
        "subject": "subject topic course category chapter unit fach thema kapitel matiere sujet "
        "asignatura tema materia",
    }.items()
}
"""What columns are called, in small letters without accents, blanks and signs."""
A_CHOICE = re.compile(
    r"(?:choice|option|answer|alternative|antwort|wahl|reponse|opcion|opzione)?"
    r"[ _.-]*([a-z]|\d{1,2})"
)
LONG_ANSWER = 4
"""Words of a usual answer from which on it is text to write, and no label."""


@dataclass(frozen=True)
class Guess:
    """What a file fills: one set by one mapping of its columns."""

    seen: Seen
    kind: Kind
    columns: Mapping[str, str | list[str]] = field(default_factory=dict)
    """Empty: its rows are in one of the forms that need no mapping."""
    answer_is: AnswerIs = "label"


def guess(seen: Seen) -> list[Guess]:
    """The sets that the file can fill; none where nothing is recognised."""
    if known := _known_forms(seen):
        return known
    one = _pairs(seen) or _choices(seen) or _answers(seen)
    return [one] if one else []


def plain(name: str) -> str:
    """A column's name as `NAMES` has it."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def _known_forms(seen: Seen) -> list[Guess]:
    """Rows of conversations, in the forms that other tools write."""
    first = frozenset(seen.columns)
    if seen.is_csv or not first & {"messages", "conversations", "conversation"}:
        return []
    pairs = {"chosen", "rejected"} <= first
    kind: Kind = "dpo" if pairs else "sft"
    names = [set(re.split(r"[.\[{}\n]+", " ".join(form.values()))) for form in FORMS[kind]]
    return [Guess(seen, kind)] if any(first & one for one in names) else []


def _named(seen: Seen, field_name: str, but: Sequence[str] = ()) -> str | None:
    """The column of that meaning: an exact name first, then one that begins or ends with it."""
    columns = {name: plain(name) for name in seen.columns if name not in but}
    for known in NAMES[field_name]:
        for name, short in columns.items():
            if short == known:
                return name
    for known in NAMES[field_name]:
        for name, short in columns.items():
            if len(known) > 3 and (short.startswith(known) or short.endswith(known)):
                return name
    return None


def _pairs(seen: Seen) -> Guess | None:
    chosen = _named(seen, "chosen")
    rejected = _named(seen, "rejected", [chosen] if chosen else [])
    if not (chosen and rejected):
        return None
    question = _named(seen, "question", [chosen, rejected])
    columns = _with_subject(seen, {"prompt": question, "chosen": chosen, "rejected": rejected})
    return Guess(seen, "dpo", columns) if question else None


def _choices(seen: Seen) -> Guess | None:
    question = _named(seen, "question")
    listed = _list_of_choices(seen)
    choices = listed or _columns_of_choices(seen, question)
    if not choices:
        return None
    used = [choices] if isinstance(choices, str) else choices
    question = question if question not in used else None
    question = question or _longest(seen, used)
    answer = _named(seen, "answer", [*used, question or ""]) or _lettered(seen, used)
    if not (question and answer):
        return None
    found = {"question": question, "choices": choices, "answer": answer}
    if explanation := _named(seen, "explanation", [*used, question, answer]):
        found["explanation"] = explanation
    how = _answer_is(seen, choices, answer)
    return Guess(seen, "mcq", _with_subject(seen, found), how) if how else None


def _answers(seen: Seen) -> Guess | None:
    question = _named(seen, "question")
    answer = _named(seen, "answer", [question] if question else [])
    if not (question and answer):
        return None
    found: dict[str, str | list[str]] = {"question": question, "answer": answer}
    explanation = _named(seen, "explanation", [question, answer])
    if explanation and _usual_words(seen, answer) < LONG_ANSWER:
        # A short answer is what to score with; its explanation is what to learn.
        found |= {"answer": explanation, "gold": answer}
    return Guess(seen, "sft", _with_subject(seen, found))


def _with_subject(
    seen: Seen, found: Mapping[str, str | list[str] | None]
) -> dict[str, str | list[str]]:
    columns = {name: value for name, value in found.items() if value}
    used = [
        one for value in columns.values() for one in ([value] if isinstance(value, str) else value)
    ]
    subject = _named(seen, "subject", used)
    return columns | ({"subject": subject} if subject else {})


def _list_of_choices(seen: Seen) -> str | None:
    """The one column that holds whole lists of choices."""
    for name in (_named(seen, "choices"), *seen.columns):
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
        if name != question and (found := A_CHOICE.fullmatch(name.casefold().strip())):
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
        values = seen.values(name)
        letters = [value.strip("(). ").upper() for value in values]
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
        if isinstance(choices, str):
            found = read_choices(row.get(choices), choices)
            texts, labels = found or ([], [])
        else:
            texts = [str(row.get(name) or "").strip() for name in choices]
            labels = []
            while texts and not texts[-1]:
                texts.pop()
        count += find_answer(str(row.get(answer) or "").strip(), texts, labels, way) is not None
    return count
