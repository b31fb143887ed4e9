"""Passages that give an evaluated question away: they hold its options or its answer word for word,
or the question itself.

A short answer is no such thing: that a text on boiling holds "100 °C" is what it is there for. So
an answer counts from ANSWER_WORDS words on, a question from QUESTION_WORDS, and options where all
of three or more stand in one passage and none is a mere number or letter.

Time: linear in the words of passages, whatever the number of questions.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rag.questions import Question

ANSWER_WORDS = 8
QUESTION_WORDS = 8
OPTIONS = 3
BEGIN = 8
"""Words by which a phrase is looked up: questions often begin alike, for fewer words."""
_WORD = re.compile(r"[^\W_]+")
_TELLING = re.compile(r"[^\W\d_]{3}")

Phrase = tuple[str, ...]


def words_in(text: str) -> list[str]:
    """The words of a text as they are compared: in lower case, without marks between them."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class _Rule:
    """Phrases that together give a question away."""

    kind: str
    phrases: frozenset[int]


class Contamination:
    """The phrases of all evaluated questions."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._numbers: dict[Phrase, int] = {}
        self._begins: dict[Phrase, list[Phrase]] = defaultdict(list)
        """By their first BEGIN words, or all where they have fewer."""
        self._lengths: dict[str, tuple[int, ...]] = {}
        """How long those beginnings are, by their first word."""
        self._rules: dict[int, list[_Rule]] = defaultdict(list)
        """By the phrase that is looked for first: the longest of a rule."""
        for question in questions:
            self._add("question", QUESTION_WORDS, [question.text])
            self._add("answer", ANSWER_WORDS, [question.answer])
            telling = all(map(_TELLING.search, question.options))
            if len(question.options) >= OPTIONS and telling:
                self._add("options", 1, question.options)
        lengths: dict[str, set[int]] = defaultdict(set)
        for begin in self._begins:
            lengths[begin[0]].add(len(begin))
        self._lengths = {word: tuple(found) for word, found in lengths.items()}

    def _add(self, kind: str, words: int, texts: Iterable[str]) -> None:
        phrases = [tuple(words_in(text)) for text in texts]
        if any(len(phrase) < words for phrase in phrases):
            return
        numbers = [self._number(phrase) for phrase in phrases]
        longest = max(zip(map(len, phrases), numbers, strict=True))[1]
        self._rules[longest].append(_Rule(kind, frozenset(numbers)))

    def _number(self, phrase: Phrase) -> int:
        if phrase not in self._numbers:
            self._numbers[phrase] = len(self._numbers)
            self._begins[phrase[:BEGIN]].append(phrase)
        return self._numbers[phrase]

    def kind_of(self, text: str) -> str | None:
        """What of a question the text holds: `question`, `options` or `answer`; None: nothing."""
        words = tuple(words_in(text))
        held: set[int] = set()
        for place, word in enumerate(words):
            for length in self._lengths.get(word, ()):
                for phrase in self._begins.get(words[place : place + length], ()):
                    if words[place : place + len(phrase)] == phrase:
                        held.add(self._numbers[phrase])
        rules = (rule for one in held for rule in self._rules.get(one, ()))
        kinds = {rule.kind for rule in rules if rule.phrases <= held}
        return next((kind for kind in ("question", "options", "answer") if kind in kinds), None)
