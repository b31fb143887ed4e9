"""The rules of decontamination as they are defined: every text against every question, on the words. Quadratic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from data_builders.decontaminate import RULES, EvalQuestion, Overlap, Rule, Training, words_of
from data_builders.split import FRAME, question_key
from data_builders.word_runs import Words
from stemma.data_section import Decontaminate


@dataclass(frozen=True)
class Shared:
    """How many of a question's words lie in runs shared with a text, and the longest such run."""

    covered: int
    longest: int


def shared(question: Words, text: Words, run: int) -> Shared:
    places = defaultdict(list)
    for start in range(len(text) - run + 1):
        places[tuple(text[start : start + run])].append(start)
    covered: set[int] = set()
    longest, ending = 0, dict[int, int]()
    for start in range(len(question) - run + 1):
        window = tuple(question[start : start + run])
        met = places.get(window, ()) if says_something(window) else ()
        ending = {place: ending.get(place - 1, run - 1) + 1 for place in met}
        longest = max(longest, *ending.values()) if ending else longest
        covered.update(range(start, start + run) if ending else ())
    return Shared(len(covered), longest)


def says_something(window: Words) -> bool:
    """Whether a quarter of the words are others than every exam paper has."""
    return sum(word not in FRAME for word in window) * 4 >= len(window)


def rule_in_text(question: EvalQuestion, text: str, settings: Decontaminate) -> Rule | None:
    stem, words = words_of(question_key(question.stem)), words_of(text)
    if {word for word in stem if word[0].isdigit()} - set(words):
        return None
    asked = [*stem, *words_of("\n".join(question.choices))]
    runs = shared(asked, words, min(8, settings.ngram))
    if runs.longest >= settings.ngram:
        return "n-gram"
    enough = runs.covered >= settings.coverage * len(asked)
    return "coverage" if runs.longest >= 8 and enough else None


def rule_of(row: Training, question: EvalQuestion, settings: Decontaminate) -> Rule | None:
    """The strongest."""
    key = question_key(question.stem)
    choices = frozenset(" ".join(choice.casefold().split()) for choice in question.choices)
    if key == row.key and choices and choices == row.choices:
        return "stem and options"
    if key == row.key and (not choices or set(words_of(key)) - FRAME):
        return "stem"
    found = [rule_in_text(question, text, settings) for text in row.texts]
    return min(filter(None, found), key=RULES.index, default=None)


def plain_overlaps(
    train: Sequence[Training], evaluation: Sequence[EvalQuestion], settings: Decontaminate, most: int
) -> list[Overlap]:
    """Of each row the `most` questions with the strongest rules, the first ones where rules are equal."""
    found = []
    for row in train:
        rules = {n: rule_of(row, question, settings) for n, question in enumerate(evaluation)}
        held = {number: rule for number, rule in rules.items() if rule}
        strongest = sorted(held, key=lambda number: (RULES.index(held[number]), number))[:most]
        found += [
            Overlap(row.row_id, row.batch, evaluation[n].eval_set, evaluation[n].id, held[n]) for n in sorted(strongest)
        ]
    return found
