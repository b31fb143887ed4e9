"""The choices of a multiple-choice question in the forms that tables hold them in, and which of
them is right:

["x", "y"]                                        a list, or a column each
{"text": ["x", "y"], "label": ["1", "2"]}         ARC
[{"label": "A", "text": "x"}, …]                  OpenBookQA
{"A": "x", "B": "y"}                              MedQA
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from stemma.reading.columns import as_text, is_missing
from stemma.reading.labels import bare_label
from stemma.reading.printed import unprinted
from stemma.rows import LETTERS

AnswerIs = Literal["label", "text", "number", "index"]

NONE_OF_THEM = "the answer is none of the options"
SEVERAL = "several right answers"
NO_LIST = "choices are no list"
TOO_MANY = f"more than {len(LETTERS)} choices"

_TEXT = ("text", "content", "value", "option", "choice")
_LABEL = ("label", "key", "letter", "id")
_LABELLED = re.compile(r"(\W?\w+)[).:\]\s]+(.+)", re.DOTALL)
_BETWEEN = re.compile(r"[\s,;/&+|]+(?:(?:and|und|et|y|e)\s+)?")
_NUMBERS = [str(number) for number in range(1, 100)]
_HEAD = (
    r"(?:\n|^|(?<=[.?!:;)\s]))\s*(?:(?:(?:answer )?(?:options|choices)|possible answers)\s*:?\s*)?"
)


def read_choices(value: Any, path: str) -> tuple[list[str], list[str]] | None:
    """(choices, their labels: empty where they have none of their own), or None where there is no
    list of them.

    Raises NoText where a choice is no text. `path` names the column in it."""
    found = _unfold(unprinted(value))
    if found is None:
        return None
    choices, labels = found
    texts = [as_text(choice, f"{path}[{place}]") for place, choice in enumerate(choices)]
    while texts and not texts[-1]:  # a table of five columns holds questions of four choices too
        texts.pop()
    return texts, [as_text(label, path) for label in labels][: len(texts)]


def find_answer(
    answer: str, choices: Sequence[str], labels: Sequence[str], answer_is: AnswerIs
) -> int | None:
    """The place of the right choice, from 0; None: it is none of them."""
    if answer_is == "text":
        return choices.index(answer) if answer in choices else None
    if answer_is == "label":
        known = list(labels)[: len(choices)] if labels else list(LETTERS[: len(choices)])
        if answer in known:
            return known.index(answer)
        known = list(map(bare_label, known))
        bare = bare_label(answer)
        return known.index(bare) if bare in known else _before_its_text(answer, choices, known)
    number = bare_label(answer).removesuffix(".0")  # beside missing ones stored as floats
    place = int(number) - (answer_is == "number") if number.isdecimal() else -1
    return place if 0 <= place < len(choices) else None


def _before_its_text(answer: str, choices: Sequence[str], labels: Sequence[str]) -> int | None:
    """The place of a label that the choice's own text follows: `B) Work`."""
    found = _LABELLED.fullmatch(answer)
    label = bare_label(found[1]) if found else ""
    place = labels.index(label) if label in labels else None
    return place if found and place is not None and choices[place] == found[2] else None


def names_several(
    answer: str, choices: Sequence[str], labels: Sequence[str], answer_is: AnswerIs
) -> bool:
    """Whether an answer names more than one right choice: `A, C`."""
    parts = [part for part in _BETWEEN.split(answer) if part]
    return len(parts) > 1 and all(
        find_answer(part, choices, labels, answer_is) is not None for part in parts
    )


def bare_stem(question: str, choices: Sequence[str]) -> tuple[str, list[int]]:
    """(the question without its options, which choice stands under each letter there), where it
    lists these very ones at its end, in whatever order: they would be shown twice. Any other
    question is left as it is: no places."""
    for labels in (LETTERS, _NUMBERS) if 1 < len(choices) <= len(_NUMBERS) else ():
        if not all(_label(label).search(question) for label in labels[: len(choices)]):
            continue  # nearly always, and cheap
        one_of = "|".join(sorted({_spaced(choice) for choice in choices}, key=len, reverse=True))
        in_order, in_any = (
            r"[\s,;]*".join(
                rf"\**[(\[]?{label}\s*[).:\]]\**\s*({text})[.;]?"
                for label, text in zip(labels, texts, strict=False)
            )
            for texts in (map(_spaced, choices), [one_of] * len(choices))
        )
        for listed in (in_order, in_any):
            found = re.search(rf"{_HEAD}{listed}\s*(?:Answer\s*:?)?\s*$", question, re.IGNORECASE)
            if found and (places := _places(found.groups(), choices)):
                return question[: found.start()].rstrip() or question, places
    return question, []


@cache
def _label(label: str) -> re.Pattern[str]:
    return re.compile(rf"{label}\s*[).:\]]", re.IGNORECASE)


def _places(listed: Sequence[str], choices: Sequence[str]) -> list[int]:
    """Which choice each listed text is: all of them once, by case too where that tells them apart;
    or none."""
    for read in (_in_line, lambda text: _in_line(text).casefold()):
        left: list[str | None] = list(map(read, choices))
        places: list[int] = []
        for text in map(read, listed):
            if text not in left:
                break
            places.append(left.index(text))
            left[places[-1]] = None
        else:
            return places
    return []


def _in_line(text: str) -> str:
    return " ".join(text.split())


def _spaced(choice: str) -> str:
    """A pattern of the choice, however its blanks are written."""
    return r"\s+".join(map(re.escape, choice.split()))


def _unfold(value: Any) -> tuple[list[Any], list[Any]] | None:
    if isinstance(value, dict):
        text = _of(value, _TEXT)
        label = _of(value, _LABEL)
        if isinstance(text, list):
            return text, label if isinstance(label, list) else []
        return list(value.values()), list(value)
    if not isinstance(value, list):
        return None
    if value and all(isinstance(one, dict) and _of(one, _TEXT) is not None for one in value):
        labels = [_of(one, _LABEL) for one in value]
        return [_of(one, _TEXT) for one in value], [] if any(map(is_missing, labels)) else labels
    return value, []


def _of(value: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((value[key] for key in keys if key in value), None)
