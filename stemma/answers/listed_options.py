"""The options that a question lists at its end, in the layouts of exam papers and data sets:

Options: (or Choices:, Answer choices:)   Which melts? (A) ice (B) stone (C) iron   Which melts?
A. ice                                                                             A) ice
B. stone                                                                           B) stone …

Without a head there must be three, in upper case: "(a) Compute f. (b) Compute g." are parts of an
exercise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from string import ascii_uppercase

_GAP = r"\s{0,100}"
"""Blanks and line ends between two parts. Without a limit a million of them take a day: each is
where a match may begin, and none where it ends."""
_HEAD = re.compile(
    rf"(?:\n{_GAP}|(?<=[?.:!])\s{_GAP})(?:(?:the )?answer )?(?:options|choices)"
    rf"{_GAP}:{_GAP}(?=\(?[A1][.):])",
    re.IGNORECASE,
)
_NAMED = re.compile("options|choices", re.IGNORECASE)
_LINE_LABEL = re.compile(rf"^{_GAP}\(?(?:[A-Z]|\d\d?)[.):]\s*", re.MULTILINE)
_BLANK_LINE = re.compile(rf"\n{_GAP}\n(?!{_GAP}\(?(?:[A-Z]|\d\d?)[.):])")
"""Behind the last option: the instruction ("Explain, then give the letter.")."""
_ANSWER = re.compile(rf"{_GAP}\bAnswer{_GAP}:{_GAP}$")
_NEXT_SENTENCE = re.compile(r"[.;]\s+[A-Z]")
_LEAST = 3
_TRIED = 20
"""Of the places where a list may begin, so many from the last on are followed."""


def split_options(question: str) -> tuple[str, tuple[str, ...]]:
    """(the stem, the options without their letters: none where it lists none)."""
    if _NAMED.search(question) and (head := _HEAD.search(question)):
        listed = _BLANK_LINE.split(question[head.end() :].lstrip())[0]
        choices = tuple(map(str.strip, _LINE_LABEL.split(listed)[1:]))
        if len(choices) < 2:
            choices = _in_order(listed, _inline, 0)[1] or choices
        return question[: head.start()], choices
    for label in (_at_line, _inline):
        start, choices = _in_order(question, label, _LEAST)
        if not choices:
            continue
        stem = question[:start].rstrip()
        # Behind options that stand within an exercise the question itself follows.
        ends = stem.endswith(("?", ".", ":", "_"))
        whole = label is _at_line or ends or not _NEXT_SENTENCE.search(choices[-1])
        if whole and "?" not in choices[-1]:
            return question[:start], choices
    return question, ()


def _in_order(
    text: str, label: Callable[[str], re.Pattern[str]], least: int
) -> tuple[int, tuple[str, ...]]:
    """(the place of the first, the texts) of options labelled A, B, C … from the last A on."""
    for first in list(label("A").finditer(text))[: -_TRIED - 1 : -1]:
        found = [first]
        while len(found) < len(ascii_uppercase) and (
            more := label(ascii_uppercase[len(found)]).search(text, found[-1].end())
        ):
            found.append(more)
        if len(found) >= max(least, 2):
            ends = [*(one.start() for one in found[1:]), len(text)]
            cut = (text[one.end() : end] for one, end in zip(found, ends, strict=True))
            return first.start(), tuple(_ANSWER.sub("", choice).strip(" \n\t,;") for choice in cut)
    return len(text), ()


@cache
def _at_line(letter: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|\n)[ \t]*\(?{letter}[.):]\s+(?=\S)")


@cache
def _inline(letter: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\S)\(?{letter}\)\s*(?=\S)")
