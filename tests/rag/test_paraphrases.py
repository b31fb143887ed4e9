"""Questions in other words than their passages: where vectors find what words do not.

The passages and questions of `paraphrases.jsonl` were written by hand for this test.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rag.encoder import open_encoder
from rag.fitting import fit
from rag.publishing import BuildFacts
from rag.ranked import Question, ask
from rag.writer import DatabaseWriter
from stemma.errors import UserError
from stemma.jsonl import read_dicts
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.passages import Passage
from stemma.retrieval.search import open_searcher
from stemma.retrieval.settings import SearchSettings
from stemma.retrieval.words import words_of
from stemma.wheels import cache

ROWS = read_dicts(Path(__file__).with_name("paraphrases.jsonl"))
QUESTIONS = [Question(str(row["question"]), frozenset({str(row["id"])})) for row in ROWS]
PASSAGES = [Passage(str(row["id"]), "", str(row["passage"]), "own", "") for row in ROWS]


def test_the_questions_are_many_and_their_own() -> None:
    assert len({question.text for question in QUESTIONS}) == len(PASSAGES) >= 40
    pairs = zip(QUESTIONS, PASSAGES, strict=True)
    assert [q.text for q, p in pairs if set(words_of(q.text)) & set(words_of(p.text))] == []


@pytest.mark.slow
def test_vectors_find_what_words_do_not(tmp_path: Path) -> None:
    try:
        model = minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(str(error.problems[0].found))
    gguf = tmp_path / "encoder.gguf"
    texts = [passage.text for passage in PASSAGES]
    embedder, gate = open_encoder(Encoder(model=str(model)), gguf, texts)
    assert gate.passed
    with DatabaseWriter(tmp_path / "database", embedder, 50_000_000, gguf) as writer:
        writer.add(PASSAGES)
        writer.finish(BuildFacts("every passage", {"own": "Apache-2.0"}, embedder.facts))
    embedder.close()
    searcher = open_searcher(tmp_path / "database", 1)
    fitted = fit(ask(searcher, QUESTIONS, 20), SearchSettings(), frozenset(), k=1)
    figures = {one.arm: one for one in fitted.arms if one.arm != "hybrid"}
    print(fitted.table())
    # What is expected: words find few of them among the first ten, the encoder nearly all.
    assert fitted.n == len(QUESTIONS) >= 40
    assert figures["dense"].recall_10 >= 0.9
    assert figures["bm25"].recall_10 <= 0.25
    assert figures["dense"].recall_1 > figures["bm25"].recall_1
    # A search by words is not broken: a passage's own words find it.
    [[hit]] = searcher.search([texts[0]], 1, "bm25")
    assert hit.passage.id == PASSAGES[0].id
    assert fitted.settings.arm != "bm25"
