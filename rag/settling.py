"""How a finished database is searched: as the recipe says, and the rest fitted on validation
questions whose passages are known (`meta.passage`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag.fitting import Fitted, fit
from rag.ranked import Question, ask
from stemma.recipe.rag import Search
from stemma.retrieval.database import Database, keep_settings
from stemma.retrieval.passages import Embedder
from stemma.retrieval.search import Searcher
from stemma.retrieval.settings import SearchSettings

UNFITTED_RRF_K = 1.0
"""Where nothing can be fitted: with first ranks trusted so much, fusion lost least against BM25."""


def given_settings(asked: Search, has_embedder: bool) -> tuple[SearchSettings, frozenset[str]]:
    """The recipe's settings over those that hold where nothing is fitted; the names it gives."""
    given = asked.model_dump(exclude={"k"}, exclude_none=True)
    unfitted = {"arm": "hybrid", "rrf_k": UNFITTED_RRF_K} if has_embedder else {"arm": "bm25"}
    return SearchSettings.model_validate(unfitted | given), frozenset(given)


def settle(
    folder: Path, embedder: Embedder | None, asked: Search, questions: Sequence[Question], k: int
) -> tuple[SearchSettings, Fitted | None]:
    """Fit what the recipe leaves open, and write it into the database. `k`: passages of a context.

    Questions whose passage is not in the database are left out; None where none is left.
    """
    settings, given = given_settings(asked, embedder is not None)
    fitted = None
    with Database.open(folder) as database:
        known = [one for one in questions if _is_known(database, one)]
        if known:
            searcher = Searcher(database, embedder, settings)
            fitted = fit(ask(searcher, known, settings.candidates), settings, given, k)
            settings = fitted.settings
    keep_settings(folder, settings)
    return settings, fitted


def _is_known(database: Database, question: Question) -> bool:
    return any(database.number_of(name) is not None for name in question.gold)
