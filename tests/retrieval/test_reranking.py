"""stemma.retrieval.reranking: an encoder orders what a static table has found."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from stemma.errors import UserError
from stemma.retrieval.database import Database
from stemma.retrieval.embedding import LlamaEmbedder, Reading
from stemma.retrieval.passages import Reranker
from stemma.retrieval.reranking import RerankedTable
from stemma.retrieval.search import Searcher, open_searcher
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.static_table import StaticTable
from tests.factories.encoders import write_gguf
from tests.factories.retrieval import passage
from tests.factories.tables import write_table

# By the table north alone is nearest to "north"; then far north, and so on.
PASSAGES = [
    passage("n", "North"),
    passage("nnf", "North, north and far"),
    passage("nf", "North, far"),
    passage("nef", "North, east, far"),
    passage("e", "East"),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table's folder with an encoder in it."""
    folder = write_table(tmp_path_factory.mktemp("model") / "static")
    write_gguf(folder / "encoder.gguf")
    return folder


@pytest.fixture
def embedder(model: Path) -> Iterator[RerankedTable]:
    opened = RerankedTable(
        StaticTable(model), LlamaEmbedder(model / "encoder.gguf", Reading(query_prefix="q: "), 1)
    )
    yield opened
    opened.close()


def build(folder: Path, embedder: RerankedTable, model: Path) -> Path:
    with DatabaseWriter(folder, embedder, 50_000_000, model) as writer:
        writer.add(PASSAGES)
        writer.finish(BuildFacts("every passage", {"notes": "Apache-2.0"}, embedder.facts))
    return folder


def test_vectors_are_the_tables_and_cosines_the_encoders(embedder: RerankedTable) -> None:
    assert isinstance(embedder, Reranker)
    assert not isinstance(embedder.table, Reranker)
    assert embedder.passages(["north"]).shape == (1, 2)
    assert embedder.digest == embedder.table.digest
    texts = ["north", "east of far", "north"]
    expected = embedder.encoder.bare(texts) @ embedder.encoder.bare(["q: far"])[0]
    assert np.allclose(embedder.cosines("far", texts), expected, atol=1e-3)


def test_a_passage_is_read_once(embedder: RerankedTable, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    passages = embedder.encoder.passages
    monkeypatch.setattr(
        embedder.encoder, "passages", lambda texts: read.extend(texts) or passages(texts)
    )
    first = embedder.cosines("far", ["north", "east", "north"])
    again = embedder.cosines("far", ["east", "north", "far"])
    assert read == ["north", "east", "far"]
    assert first[0] == pytest.approx(again[1], abs=1e-6)
    monkeypatch.setattr("stemma.retrieval.reranking.KEPT_VECTORS", 3)
    assert embedder.cosines("far", ["up", "far"]).shape == (2,)
    assert read == ["north", "east", "far", "up", "far"], "the memory was full"


def test_what_the_table_finds_is_ordered_by_the_encoder(
    tmp_path: Path, embedder: RerankedTable, model: Path
) -> None:
    folder = build(tmp_path / "db", embedder, model)
    for rerank in (3, 50):
        settings = SearchSettings(arm="dense", rerank=rerank)
        with Database.open(folder) as database:
            hits = Searcher(database, embedder, settings).search(["north"], 10)[0]
        found = {hit.passage.id: hit.cosine for hit in hits}
        first = ["n", "nnf", "nf", "nef", "e"][:rerank]
        assert set(found) == set(first), "the table's nearest"
        texts = [one.searched for one in PASSAGES if one.id in found]
        cosines = dict(zip(first, embedder.cosines("north", texts), strict=True))
        assert list(found) == sorted(first, key=lambda name: -cosines[name])
        assert found == pytest.approx({k: float(v) for k, v in cosines.items()}, abs=1e-6)


def test_a_hybrid_takes_the_encoders_order(
    tmp_path: Path, embedder: RerankedTable, model: Path
) -> None:
    folder = build(tmp_path / "db", embedder, model)
    settings = SearchSettings(arm="hybrid", weight=1.0, rerank=2)
    with Database.open(folder) as database:
        searcher = Searcher(database, embedder, settings)
        [hits], [dense] = (searcher.search(["north east"], 10, arm) for arm in ("hybrid", "dense"))
    assert [hit.passage.id for hit in hits] == [hit.passage.id for hit in dense]
    assert {hit.cosine for hit in hits} == {hit.cosine for hit in dense}, "of one scale"


def test_a_database_opens_with_its_own_encoder(
    tmp_path: Path, embedder: RerankedTable, model: Path
) -> None:
    folder = build(tmp_path / "db", embedder, model)
    with open_searcher(folder, 1) as searcher:
        assert isinstance(searcher.embedder, RerankedTable)
        assert searcher.embedder.encoder.facts == embedder.encoder.facts
        assert searcher.search(["", "far"], 2, "dense")[1]
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    place = other / "static" / "encoder.gguf"
    data = bytearray(place.read_bytes())
    data[-1] ^= 1
    place.write_bytes(data)
    with pytest.raises(UserError, match=r"another encoder(.|\n)*copy the database again"):
        open_searcher(other, 1)
