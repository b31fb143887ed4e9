"""Plain texts of questions and answers, to and from the course's layout. A corpus row has no special tokens.

`Question: {stem}\\n\\nOptions:\\nA. …\\nB. …\\n\\nAnswer: …`, without the options for open questions.
"""

from __future__ import annotations

import re

_COURSE_MCQ = re.compile(
    r"\s*(?:Question:)?\s*(?P<stem>.*?)\s*\n\s*Options:\s*\n(?P<options>.*?)\s*(?:\n\s*Answer:)?\s*", re.DOTALL
)
_OPTIONS = re.compile(r"\n\s*Options:\s*\n\s*[A1][.)].*", re.DOTALL)


def plain(question: str, answer: str) -> str:
    """A question and its answer as a text to pretrain on."""
    return f"Question: {question.strip()}\n\nAnswer: {answer.strip()}"


def bare(prompt: str) -> str:
    """A prompt without the `Question:` and `Answer:` that the chat template writes itself."""
    return re.sub(r"^\s*Question:\s*|\s*\n\s*Answer:\s*$", "", prompt)


def bare_question(prompt: str) -> str:
    """A prompt's stem: `bare`, and without lettered options."""
    return _OPTIONS.sub("", bare(prompt))


def parse_mcq(text: str) -> tuple[str, dict[str, str]] | None:
    """(stem, {label: choice}) of a question in the course's layout, labelled A, B, … or 1, 2, …; None: another layout.

    A choice may span lines: only the label that comes next starts the next choice.
    """
    match = _COURSE_MCQ.fullmatch(text)
    if match is None:
        return None
    for labels in ("ABCDEFGHIJ", "123456789"):
        choices = _parse_choices(match["options"], labels)
        if len(choices) > 1:
            return match["stem"], choices
    return None


def _parse_choices(text: str, labels: str) -> dict[str, str]:
    choices: dict[str, str] = {}
    for line in text.split("\n"):
        upcoming = labels[len(choices)] if len(choices) < len(labels) else None
        if upcoming and re.match(rf"\s*{upcoming}[.)]", line):
            choices[upcoming] = re.sub(rf"^\s*{upcoming}[.)]\s*", "", line)
        elif choices:
            choices[labels[len(choices) - 1]] += "\n" + line
        else:
            return {}
    return {label: choice.strip() for label, choice in choices.items()}
