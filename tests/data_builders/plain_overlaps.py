"""The rules of decontamination as they are defined: every text against every question, on the
words. Quadratic."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from data_builders.filters.decontaminate import (
    RULES,
    EvalQuestion,
    Overlap,
    Rule,
    TrainingTexts,
    as_asked,
    words_of,
)
from data_builders.filters.word_runs import Words
from data_builders.split import FRAME, question_key
from stemma.recipe.data import Decontaminate

Windows = Set[tuple[str, ...]]


@dataclass(frozen=True)
class Shared:
    """How many of a question's own words lie in runs shared with a text, of how many, and the
    longest such run."""

    covered: int
    longest: int
    own: int


def shared(question: Words, text: Words, run: int, mute: Windows = frozenset()) -> Shared:
    """`mute`: the windows that are boilerplate."""
    telling = set(filter(says_something, windows_of(question, run)))
    mute = mute if telling - mute else frozenset()  # one that would keep nothing keeps all
    places = defaultdict(list)
    for start in range(len(text) - run + 1):
        places[tuple(text[start : start + run])].append(start)
    covered: set[int] = set()
    foreign: set[int] = set()
    longest = 0
    ending = dict[int, int]()
    for start, window in enumerate(windows_of(question, run)):
        foreign.update(range(start, start + run) if window in mute else ())
        met = places.get(window, ()) if says_something(window) and window not in mute else ()
        ending = {place: ending.get(place - 1, run - 1) + 1 for place in met}
        longest = max(longest, *ending.values()) if ending else longest
        covered.update(range(start, start + run) if ending else ())
    return Shared(len(covered - foreign), longest, len(question) - len(foreign))


def windows_of(words: Words, run: int) -> list[tuple[str, ...]]:
    return [tuple(words[start : start + run]) for start in range(len(words) - run + 1)]


def boilerplate(questions: Sequence[Words], run: int, many: int = 5) -> Windows:
    """The windows of `many` questions that differ in more than numbers and have a telling window
    for themselves."""
    common = held_by(questions, run, many)
    return held_by([words for words in questions if has_its_own(words, common, run)], run, many)


def has_its_own(words: Words, common: Windows, run: int) -> bool:
    windows = windows_of(words, run)
    shared = {
        place
        for start, one in enumerate(windows)
        if one in common
        for place in range(start, start + run)
    }
    free = [one for start, one in enumerate(windows) if not shared & set(range(start, start + run))]
    return any(map(says_something, free))


def held_by(questions: Sequence[Words], run: int, many: int) -> Windows:
    holders = defaultdict(set)
    for words in questions:
        template = tuple("0" if word[0].isdigit() else word for word in words)
        for window in filter(says_something, windows_of(words, run)):
            holders[window].add(template)
    return {window for window, templates in holders.items() if len(templates) >= many}


def says_something(window: Words) -> bool:
    """Whether a quarter of the words are others than every exam paper has."""
    return sum(word not in FRAME for word in window) * 4 >= len(window)


def rule_in_text(
    question: EvalQuestion, text: str, settings: Decontaminate, mute: Windows
) -> Rule | None:
    stem = words_of(question_key(question.stem))
    words = words_of(text)
    if {word for word in stem if word[0].isdigit()} - set(words):
        return None  # nor is it a sentence of it
    runs = shared(asked(question), words, min(8, settings.ngram), mute)
    if runs.longest >= settings.ngram:
        return "n-gram"
    if runs.longest >= 8 and runs.covered >= max(1, settings.coverage * runs.own):
        return "coverage"
    return "sentence" if 4 <= len(stem) <= 30 and is_sentence(question, text) else None


def is_sentence(question: EvalQuestion, text: str) -> bool:
    """Whether the stem is what stands between two of the text's borders."""
    ends = [
        0,
        *(found.end() for found in re.finditer(r"(?<=[.?!:;)\]])\s+|\s*\n\s*", text)),
        len(text),
    ]
    wanted = question_key(question.stem)
    between = (text[begin:end] for begin, end in combinations(ends, 2))
    return len(set(wanted.split()) - FRAME) > 1 and any(
        question_key(part) == wanted for part in between
    )


def asked(question: EvalQuestion) -> list[str]:
    return [*words_of(question_key(question.stem)), *words_of("\n".join(question.choices))]


def rule_of(
    row: TrainingTexts, question: EvalQuestion, settings: Decontaminate, mute: Windows
) -> Rule | None:
    """The strongest."""
    key = question_key(question.stem)
    choices = frozenset(" ".join(choice.casefold().split()) for choice in question.choices)
    same = as_asked(key) == as_asked(row.key)
    if same and choices and choices == row.choices:
        return "stem and options"
    if same and (not choices or set(words_of(key)) - FRAME):
        return "stem"
    found = [rule_in_text(question, text, settings, mute) for text in row.texts]
    return min(filter(None, found), key=RULES.index, default=None)


def plain_overlaps(
    train: Sequence[TrainingTexts],
    evaluation: Sequence[EvalQuestion],
    settings: Decontaminate,
    most: int,
) -> list[Overlap]:
    """Of each row the `most` questions with the strongest rules, the first ones where rules are
    equal."""
    found = []
    mute = boilerplate([asked(question) for question in evaluation], min(8, settings.ngram))
    for row in train:
        rules = {n: rule_of(row, question, settings, mute) for n, question in enumerate(evaluation)}
        held = {number: rule for number, rule in rules.items() if rule}
        strongest = sorted(held, key=lambda number: (RULES.index(held[number]), number))[:most]
        found += [
            Overlap(row.row_id, row.source, evaluation[n].eval_set, evaluation[n].id, held[n])
            for n in sorted(strongest)
        ]
    return found
