"""A recipe's passages on the laptop: found for a question, and put before it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from serve.checked import checked
from stemma.answers.listed_options import split_options
from stemma.errors import Problem, UserError
from stemma.llama import Llama
from stemma.recipe.models import Recipe
from stemma.recipe.prompts import PromptFiles
from stemma.recipe.rag import RagSection
from stemma.retrieval.citations import citations, listed
from stemma.retrieval.context import Contexts, InContext
from stemma.retrieval.passages import Hit
from stemma.retrieval.search import Searcher, open_searcher
from stemma.retrieval.words import words_of
from stemma.runs import Run

NOTHING_FOUND = "no passage is relevant enough: answered without"
NO_ROOM = "no room for a passage: answered without"
FOLLOW_UP_WORDS = 3
"""Words, stop words left out, up to which a question that refers back is a follow-up."""
_REFERRING = re.compile(
    r"^\W*(and|but|or|so|also|what about|how about)\b"
    r"|\b(it|its|they|them|their|this|that|these|those|he|his|him|she|her|ones?)\b",
    re.IGNORECASE,
)
_SAYING_NOTHING = frozenset(
    words_of(
        "explain example detail simple simply tell give cause reason mean elaborate continue "
        "consequence effect opposite happen further please summarise summarize repeat briefly"
    )
)
"""Stems of words that name no subject."""


@dataclass(frozen=True)
class PassagesBefore:
    """What puts the passages that are found for a question before it."""

    searcher: Searcher
    contexts: Contexts
    section: RagSection

    def put(self, question: str, room: int, before: str = "") -> tuple[InContext, list[Hit]]:
        """The question with its passages in at most `room` tokens, and all hits of the search.
        `before`: the question that it follows, which is searched with as well."""
        asked = (split_options(one)[0].strip() or one for one in (before, question) if one)
        (hits,) = self.searcher.search(
            [" ".join(asked)],
            self.section.context.passages,
            with_contaminated=not self.section.exclude_contaminated,
        )
        return self.contexts.put(question, hits, room), hits


def is_follow_up(question: str) -> bool:
    """Whether a question asks on about the one before, as `Why?` and `Who discovered it?` do:
    searched with alone it would find nothing of use. Measured by `bench.follow_ups`; in English."""
    words = words_of(question)
    if _SAYING_NOTHING.issuperset(words):
        return True
    return len(words) <= FOLLOW_UP_WORDS and _REFERRING.search(question) is not None


@contextmanager
def open_recipes_searcher(recipe: Recipe, run: Run) -> Iterator[tuple[RagSection, Searcher]]:
    """The database of a recipe's run, open. Raises UserError where the recipe has none, or naming
    the command that builds it."""
    if recipe.rag is None:
        found = f"recipe `{recipe.name}` has no passages"
        raise UserError(Problem(recipe.path.name, found, "a section `rag`"))
    with open_searcher(checked(run, "rag", "database")) as searcher:
        yield recipe.rag, searcher


@contextmanager
def open_passages(recipe: Recipe, run: Run, llama: Llama) -> Iterator[PassagesBefore | None]:
    """The passages that a recipe's shipped model is asked with; None for a recipe without `rag`."""
    if recipe.rag is None:
        yield None
        return
    with open_recipes_searcher(recipe, run) as (section, searcher):
        prompt = PromptFiles(recipe.path.parent).path(section.context.prompt)
        contexts = Contexts(
            prompt,
            lambda text: len(llama.tokenize(text)),
            section.context.max_tokens,
            llama.control_tokens(),
        )
        yield PassagesBefore(searcher, contexts, section)


def sources_of(answer: str, found: InContext, hits: list[Hit]) -> list[str]:
    """What a reader sees below an answer: each passage that it was given, the cited ones marked,
    and citations of none."""
    if not found.used:
        return [NO_ROOM if hits else NOTHING_FOUND]
    cited = citations(answer, len(found.used))
    made_up = [f"[{number}]  no passage of this number was given" for number in cited.unknown]
    return listed(found.used, cited.known) + made_up
