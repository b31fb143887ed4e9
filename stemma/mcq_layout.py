"""A multiple-choice question in the course's layout, read; `stemma.rows.lettered` writes it.

"Question: Find all c in …\\n\\nOptions:\\nA. 0\\nB. 1\\n…\\n\\nAnswer:"
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stemma.rows import LETTERS

# Blanks of one line only: of patterns that may share a run of newlines, time would grow with its
# cube.
_OPTIONS = re.compile(r"\n[^\S\n]*Options:[^\S\n]*\n")
_ANSWER = re.compile(r"\n[^\S\n]*Answer:$")

# More than can be lettered, so that what is too long is told instead of glued into the last choice.
_LETTERED = (*LETTERS, *(f"A{letter}" for letter in LETTERS))
_NUMBERED = tuple(str(number) for number in range(1, 2 * len(LETTERS) + 1))


def parse_mcq(text: str) -> tuple[str, dict[str, str]] | None:
    """(stem, {label: choice}) of a question in the course's layout, labelled A, B, … or 1, 2, …;
    None: another layout.

    A choice may span lines: only the label that comes next starts the next choice.
    """
    text = text.rstrip()
    if text.lstrip().startswith("Question:"):
        text = text.lstrip().removeprefix("Question:")
    head = _OPTIONS.search(text)
    if head is None:
        return None
    stem = text[: head.start()].strip()
    listed = text[head.end() - 1 :]
    if answer := _ANSWER.search(listed):
        listed = listed[: answer.start()]
    for labels in (_LETTERED, _NUMBERED):
        choices = _parse_choices(listed.strip(), labels)
        if len(choices) > 1:
            return stem, choices
    return None


def _parse_choices(text: str, labels: Sequence[str]) -> dict[str, str]:
    choices: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        label = labels[len(choices)] if len(choices) < len(labels) else ""
        if label and (found := re.match(rf"\s*{label}[.)]\s*", line)):
            choices[label], last = line[found.end() :], label
        elif choices:
            choices[last] += "\n" + line
        else:
            return {}
    return {label: choice.strip() for label, choice in choices.items()}
