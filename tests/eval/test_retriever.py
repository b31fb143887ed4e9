"""A real database opened for the evaluation."""

from __future__ import annotations

from pathlib import Path

from eval.retriever import Before, retrieval_of
from rag.publishing import BuildFacts
from rag.writer import DatabaseWriter
from tests.eval.encyclopaedia import PROMPT, passages


def test_a_database_is_searched_and_names_its_passages(tmp_path: Path) -> None:
    with DatabaseWriter(tmp_path / "database", None, 10_000_000) as writer:
        writer.add(passages())
        writer.finish(BuildFacts("all", {"sums": "Apache-2.0"}))
    before = Before(PROMPT, 200, 2, 7)
    found = retrieval_of(tmp_path / "database", before, lambda text: len(text.split()))
    assert found.search_arms == ("bm25",), "no encoder, no vectors"
    [hits] = found.search(["What are sums of 7?"], 2, None)
    assert hits[0].passage.id == "sum-7"
    assert [one.id for one in found.gold.of(_Row())] == ["sum-3"]
    assert found.database.count == 12


class _Row:
    """A row that names two passages, of which the database has one."""

    id = "r"
    meta = {"passage": "sum-3 nowhere"}
