"""A built database opened for searching, with the embedder that lies in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from stemma.errors import Problem, UserError
from stemma.processes import cores
from stemma.retrieval.database import ENCODER, FACTS, Database
from stemma.retrieval.passages import Embedder
from stemma.retrieval.search import Searcher

READING = ("query_prefix", "passage_prefix", "max_tokens")
"""What a sentence encoder's facts say of how it reads texts."""


@contextmanager
def open_searcher(folder: Path) -> Iterator[Searcher]:
    """A searcher as the database's own facts say; without torch.

    Raises UserError where the database is half-built, damaged, or made by another embedder.
    """
    with ExitStack() as opened:
        database = opened.enter_context(Database.open(folder))
        made_by = database.facts.embedder
        embedder = _embedder(folder, made_by.model, opened) if made_by else None
        yield Searcher(database, embedder, database.facts.search)


def _embedder(folder: Path, model: dict[str, Any], opened: ExitStack) -> Embedder:
    if model.get("kind") != "gguf":
        found = f"an embedder of the kind {model.get('kind')!r}"
        raise UserError(Problem(str(folder / FACTS), found, "`gguf`", "build the database again"))
    from stemma.retrieval.embedding import LlamaEmbedder, Reading

    reading = Reading.model_validate({name: model[name] for name in READING if name in model})
    return opened.enter_context(LlamaEmbedder(folder / ENCODER, reading, cores()))
