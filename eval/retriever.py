"""The recipe's search and prompt, opened for the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eval.contexts import Retrieval
from eval.gold import GoldPassages
from stemma.base_model.tokenizer import load_tokenizer
from stemma.digests import digest_of
from stemma.recipe.eval_arms import has_arms
from stemma.recipe.prompts import PromptFiles
from stemma.retrieval.context import Contexts
from stemma.retrieval.database import FACTS
from stemma.retrieval.passages import Hit, Passage
from stemma.retrieval.search import Searcher, open_searcher
from stemma.retrieval.settings import Arm, SearchSettings
from stemma.stages import Work
from stemma.templates import read_special_tokens
from stemma.weights import weights_of

DATABASE = "database"
"""The output of stage `rag`."""


@dataclass(frozen=True)
class _Search:
    """A database, asked as its settings say or by one arm."""

    searcher: Searcher
    with_contaminated: bool

    def __call__(self, queries: Sequence[str], k: int, arm: str | None) -> list[list[Hit]]:
        named: Arm | None = None if arm is None else SearchSettings.model_validate({"arm": arm}).arm
        return self.searcher.search(queries, k, named, with_contaminated=self.with_contaminated)

    @property
    def arms(self) -> tuple[str, ...]:
        """What it can be asked by."""
        has_vectors = self.searcher.embedder and self.searcher.database.vectors
        return ("bm25", "dense", "hybrid") if has_vectors else ("bm25",)

    def by_id(self, name: str) -> Passage | None:
        """A passage; None: the database has none of this id."""
        number = self.searcher.database.number_of(name)
        return None if number is None else self.searcher.database.passages([number])[0]


@dataclass(frozen=True)
class Before:
    """How passages come before a question."""

    prompt: Path
    max_tokens: int
    passages: int
    seed: int
    controls: tuple[str, ...] = ()
    """The model's own control tokens, which no passage may say."""


def retrieval_of(
    folder: Path, before: Before, count: Callable[[str], int], with_contaminated: bool = True
) -> Retrieval:
    """A database, opened, with all that puts its passages before questions.

    `count` counts tokens by the model's own tokenizer. Raises UserError for a database that cannot
    be opened.
    """
    search = _Search(open_searcher(folder), with_contaminated)
    return Retrieval(
        search=search,
        search_arms=search.arms,
        database=search.searcher.database,
        gold=GoldPassages(search.by_id),
        putter=Contexts(before.prompt, count, before.max_tokens, before.controls),
        passages=before.passages,
        seed=before.seed,
        decides={
            # Its facts hold the digests of all files, and how it is searched.
            "database": digest_of(folder / FACTS),
            "prompt": digest_of(before.prompt),
            "max_tokens": before.max_tokens,
            "controls": before.controls,
            "with_contaminated": with_contaminated,
        },
    )


def open_retrieval(work: Work) -> Retrieval | None:
    """The database, its search and the context's prompt; None where no variant is asked with
    passages."""
    recipe = work.recipe
    if not has_arms(recipe.eval.variants) or recipe.rag is None:
        return None
    model = weights_of(work, recipe.eval.reference)
    tokenizer = load_tokenizer(model / "tokenizer.json")
    before = Before(
        prompt=PromptFiles(recipe.path.parent).path(recipe.rag.context.prompt),
        max_tokens=recipe.rag.context.max_tokens,
        passages=recipe.rag.context.passages,
        seed=recipe.seed,
        controls=tuple(read_special_tokens(model / "tokenizer.json")),
    )

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    folder = work.input("rag", DATABASE)
    retrieval = retrieval_of(folder, before, count, not recipe.rag.exclude_contaminated)
    # Beside the digests of what is read: what counts its tokens.
    decides = dict(retrieval.decides) | {"tokenizer": digest_of(model / "tokenizer.json")}
    return replace(retrieval, decides=decides)
