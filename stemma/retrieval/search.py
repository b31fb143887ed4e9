"""Questions to a database: BM25, dense or both, fused.

Time: BM25 is linear in the passages that hold a word of the query, dense in all passages; queries
asked together share one reading of the vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stemma.errors import Problem, UserError
from stemma.processes import cores
from stemma.retrieval.database import COPY, ENCODER, FACTS, STATIC, Database
from stemma.retrieval.fusion import best, fused, spread
from stemma.retrieval.passages import Embedder, Hit, Reranker
from stemma.retrieval.relevance import FIRST, relevance, word_share
from stemma.retrieval.settings import Arm, SearchSettings
from stemma.retrieval.words import words_of

if TYPE_CHECKING:
    from stemma.retrieval.embedding import LlamaEmbedder

QUERY_LETTERS = 100_000
"""Letters of a query that are read: more would be a document."""


@dataclass
class _Found:
    """Candidates of one query: numbers with the score they are ordered by, best first."""

    ranking: list[tuple[int, float]]
    bm25: dict[int, float]
    cosine: dict[int, float]


class Searcher:
    """A database with its embedder, asked in one way.

    Raises UserError where the embedder is not the one that made the vectors.
    """

    def __init__(
        self, database: Database, embedder: Embedder | None, settings: SearchSettings
    ) -> None:
        self.database = database
        self.embedder = embedder
        self.settings = settings
        made_by = database.facts.embedder
        if embedder and made_by and embedder.digest != made_by.digest:
            found = f"another embedding model than the vectors' ({embedder.digest[:12]})"
            hint = "build the database with this model, or search with the one in its folder"
            expected = f"the one that made them ({made_by.digest[:12]}: {made_by.model})"
            raise UserError(Problem(str(database.folder), found, expected, hint))
        self._require(settings.arm)

    def close(self) -> None:
        """Close the database, and the embedder where it can be closed."""
        self.database.close()
        close = getattr(self.embedder, "close", None)
        if close:
            close()

    def __enter__(self) -> Searcher:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def search(
        self,
        queries: Sequence[str],
        k: int,
        arm: Arm | None = None,
        sources: Sequence[str] = (),
        with_contaminated: bool = True,
    ) -> list[list[Hit]]:
        """The best passages for each query, at most `k`, best first.

        A query's list is empty where nothing is as relevant as the settings' threshold; the
        threshold holds for the settings' own arm only. `sources`: only passages of these.
        """
        arm = arm or self.settings.arm
        self._require(arm)
        if k < 1:
            raise UserError(Problem("k", str(k), "1 or more"))
        queries = [_read(query) for query in queries]
        with self.database.lock:
            allowed = self.database.allowed(sources, with_contaminated)
            count = max(self.settings.candidates, k)
            candidates = self._candidates(queries, arm, count, allowed)
            found = map(self._ranked, candidates, [arm] * len(queries))
            return [
                self._hits(one, k) if self._answers(one, query, arm) else []
                for one, query in zip(found, queries, strict=True)
            ]

    def _require(self, arm: Arm) -> None:
        if arm == "bm25" or (self.embedder and self.database.vectors):
            return
        found = f"the arm `{arm}` needs vectors, and this database has none"
        if self.database.vectors:
            found = f"the arm `{arm}` needs the embedding model, and none is open"
        hint = "build it with rag.encoder, or search with the arm `bm25`"
        raise UserError(Problem(str(self.database.folder), found, "an embedding model", hint))

    def _candidates(
        self, queries: Sequence[str], arm: Arm, count: int, allowed: NDArray[np.bool_] | None
    ) -> Iterator[tuple[dict[int, float], dict[int, float], NDArray[np.float32] | None]]:
        """For each query the candidates by BM25 and by cosine, and the query's vector."""
        asked = range(len(queries))
        if arm == "bm25":
            for query in queries:
                yield self.database.lexical.best(query, count, allowed), {}, None
            return
        vectors = self._embedded(queries)
        assert self.database.vectors
        for place, cosines in zip(asked, self.database.vectors.cosines(vectors), strict=True):
            if allowed is not None:
                cosines = np.where(allowed, cosines, np.float32(-2))
            dense = self._dense(queries[place], cosines, count)
            lexical = {}
            if arm == "hybrid":
                lexical = self.database.lexical.best(queries[place], count, allowed)
            yield lexical, dense, vectors[place]

    def _dense(self, query: str, cosines: NDArray[np.float32], count: int) -> dict[int, float]:
        """The candidates by cosine, best first; re-ranked where the embedder can."""
        reranks = isinstance(self.embedder, Reranker) and bool(query.strip())
        numbers = best(cosines, self.settings.rerank if reranks else count, floor=-2)
        if reranks and numbers:
            assert isinstance(self.embedder, Reranker)
            texts = [passage.searched for passage in self.database.passages(numbers)]
            again = self.embedder.cosines(query, texts)
            return {numbers[place]: float(again[place]) for place in best(again, len(again))}
        return {number: float(cosines[number]) for number in numbers}

    def _embedded(self, queries: Sequence[str]) -> NDArray[np.float32]:
        assert self.embedder
        vectors = np.zeros((len(queries), self.embedder.dimensions), dtype=np.float32)
        # An empty text has no vector: nothing is like it.
        told = [place for place, query in enumerate(queries) if query.strip()]
        if told:
            vectors[told] = self.embedder.queries([queries[place] for place in told])
        return vectors

    def _ranked(
        self,
        found: tuple[dict[int, float], dict[int, float], NDArray[np.float32] | None],
        arm: Arm,
    ) -> _Found:
        lexical, dense, vector = found
        if arm == "bm25":
            return _Found(list(lexical.items()), lexical, {})
        if vector is None or not vector.any():
            dense = {}
        if arm == "dense":
            return _Found(list(dense.items()), {}, dense)
        ranking = fused(list(lexical), list(dense), self.settings.weight, self.settings.rrf_k)
        missing = [number for number, _ in ranking if number not in dense]
        if isinstance(self.embedder, Reranker):
            missing = []  # the table's cosines are of another scale
        if missing and vector is not None and self.database.vectors:
            cosines = self.database.vectors.of(missing) @ vector
            dense |= dict(zip(missing, map(float, cosines), strict=True))
        return _Found(ranking, lexical, dense)

    def _hits(self, found: _Found, k: int) -> list[Hit]:
        ranking = found.ranking
        if self.settings.mmr < 1 and len(ranking) > 1:
            ranking = self._spread(ranking[: max(self.settings.candidates, k)], k)
        ranking = ranking[:k]
        passages = self.database.passages([number for number, _ in ranking])
        return [
            Hit(passage, score, found.bm25.get(number), found.cosine.get(number))
            for passage, (number, score) in zip(passages, ranking, strict=True)
        ]

    def _answers(self, found: _Found, query: str, arm: Arm) -> bool:
        """Whether the first passages are relevant enough."""
        threshold = self.settings.threshold
        if threshold is None or arm != self.settings.arm:
            return True
        weights = self.database.lexical.weights(query)
        first = self.database.passages([number for number, _ in found.ranking[:FIRST]])
        share = max((word_share(weights, one.searched) for one in first), default=0.0)
        weight = 0.0 if arm == "bm25" else self.settings.relevance_weight
        return relevance(max(found.cosine.values(), default=0.0), share, weight) >= threshold

    def _spread(self, ranking: list[tuple[int, float]], k: int) -> list[tuple[int, float]]:
        scores = np.array([score for _, score in ranking], dtype=np.float32)
        width = float(scores.max() - scores.min())
        relevance = (scores - scores.min()) / width if width else np.ones_like(scores)
        places = spread(relevance, self._likeness(ranking), k, self.settings.mmr)
        return [ranking[place] for place in places]

    def _likeness(self, ranking: Sequence[tuple[int, float]]) -> NDArray[np.float32]:
        """How like candidates are to each other: cosines, or without vectors shared words."""
        numbers = [number for number, _ in ranking]
        if self.database.vectors:
            vectors = self.database.vectors.of(numbers)
            return np.asarray(vectors @ vectors.T, dtype=np.float32)
        words = [set(words_of(passage.text)) for passage in self.database.passages(numbers)]
        return np.array(
            [[len(one & other) / (len(one | other) or 1) for other in words] for one in words],
            dtype=np.float32,
        )


def open_searcher(folder: Path, threads: int | None = None) -> Searcher:
    """The database in `folder` with the embedder that lies in it, asked as its facts say.

    `threads`: of the embedder; by default as many as there are cores. Raises UserError where the
    database cannot be opened, or its embedder is not the one that made its vectors.
    """
    database = Database.open(folder)
    embedder: Embedder | None = None
    try:
        if database.facts.embedder:
            embedder = _embedder(folder, database.facts.embedder.model, threads or cores())
        return Searcher(database, embedder, database.facts.search)
    except BaseException:
        database.close()
        close = getattr(embedder, "close", None)
        if close:
            close()
        raise


def _embedder(folder: Path, model: dict[str, Any], threads: int) -> Embedder:
    """The embedder that lies in a database."""
    kind = model.get("kind")
    if kind == "gguf":
        return _encoder(folder / ENCODER, model, threads)
    if kind == "static":
        from stemma.retrieval.static_table import StaticTable

        table = StaticTable(folder / STATIC)
        if "rerank" not in model:
            return table
        from stemma.retrieval.reranking import RerankedTable

        return RerankedTable(table, _encoder(folder / STATIC / ENCODER, model["rerank"], threads))
    found = f"an embedder of the unknown kind `{kind}`"
    hint = "open it with the Stemma that built it"
    raise UserError(Problem(str(folder / FACTS), found, "`gguf` or `static`", hint))


def _encoder(path: Path, facts: dict[str, Any], threads: int) -> LlamaEmbedder:
    """Raises UserError where it is not the encoder of the facts."""
    from stemma.retrieval.embedding import LlamaEmbedder, Reading

    read = {name: facts[name] for name in Reading.model_fields if name in facts}
    encoder = LlamaEmbedder(path, Reading.model_validate(read), threads)
    if encoder.facts["weights_sha256"] != facts["weights_sha256"]:
        encoder.close()
        raise UserError(Problem(str(path), "another encoder", f"{facts['weights_sha256']}", COPY))
    return encoder


def _read(query: str) -> str:
    """A query as it is searched with: NUL and broken letters are blanks, its end is cut off."""
    return query[:QUERY_LETTERS].replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
