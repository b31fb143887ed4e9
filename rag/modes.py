"""The modes: what of its sources a database holds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat

from rag.found import best_places
from rag.questions import Question
from stemma.errors import Problem, UserError
from stemma.recipe.rag import MODES, RagSection


@dataclass(frozen=True)
class Chosen:
    """The passages a mode keeps, by their places in the corpus."""

    places: frozenset[int] | None
    """None: all."""
    questions: int = 0
    """Questions that chose."""
    without: int = 0
    """Questions that no passage shares a word with."""
    distractors: int = 0
    """Passages that no question chose."""

    def holds(self, place: int) -> bool:
        return self.places is None or place in self.places


def describe(section: RagSection) -> str:
    """The mode in words that stand beside every result, with its numbers."""
    said = f"{section.mode}: {MODES[section.mode]}"
    if section.mode == "all":
        return said
    said += f"; {section.documents_per_question} for each question"
    if section.mode == "paper+distractors":
        said += f", {section.distractors} others"
    return said


def choose(
    section: RagSection,
    questions: Sequence[Question],
    texts: Callable[[], Iterable[str]],
    seed: int,
) -> Chosen:
    """What the mode keeps. `texts` gives what is searched of each passage, the same each time.

    Raises UserError where the mode has no questions.
    """
    if section.mode == "all":
        return Chosen(None)
    trained = section.mode == "train-only"
    asking = [one for one in questions if one.trains or not trained]
    if not asking:
        which = "training questions" if trained else "questions"
        expected = "rows of the sets in `rag.questions`"
        raise UserError(Problem("rag.mode", f"`{section.mode}`, but no {which}", expected))
    wanted = section.documents_per_question
    mixed = section.distractors if section.mode == "paper+distractors" else 0
    neighbours = (mixed + 1) // 2
    passes = (texts() for _ in repeat(None, 2))
    asked = list(dict.fromkeys(one.text for one in asking))
    ranked, count = best_places(asked, wanted + neighbours, passes)
    best = {place for places in ranked for place in places[:wanted]}
    others = {place for places in ranked for place in places[wanted:]} - best
    others |= _drawn(count, best | others, (mixed - neighbours) * len(asked), seed)
    return Chosen(
        frozenset(best | others),
        questions=len(asked),
        without=sum(not places for places in ranked),
        distractors=len(others),
    )


def _drawn(count: int, taken: set[int], wanted: int, seed: int) -> set[int]:
    """Places drawn by the seed from those that are not taken; all where there are too few."""
    free = count - len(taken)
    if wanted >= free:
        return set(range(count)) - taken
    chance = random.Random(f"{seed} distractors")
    found: set[int] = set()
    while len(found) < wanted:
        place = chance.randrange(count)
        if place not in taken:
            found.add(place)
    return found
