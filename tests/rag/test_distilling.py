"""rag.distilling: a sentence encoder to a static table, and the encoder that re-ranks it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rag.distilling import distil, is_table
from rag.embedders import open_embedder
from stemma.errors import UserError
from stemma.recipe.rag import Encoder
from stemma.retrieval import minilm
from stemma.retrieval.reranking import RerankedTable
from stemma.retrieval.static_table import StaticTable
from stemma.wheels import cache
from tests.factories.encoders import TEXTS, make_encoder


@pytest.mark.slow
def test_a_random_encoder_becomes_a_table_that_it_re_ranks(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path / "encoder", "mean", max_seq_length=64)
    assert not is_table(folder)
    work = tmp_path / "work"
    work.mkdir()
    asked = Encoder(static=str(folder), rerank=Encoder(model=str(folder)))
    with open_embedder(asked, work, TEXTS) as opened:
        assert opened
        assert isinstance(opened.embedder, RerankedTable)
        assert [gate.passed for gate in opened.gates] == [True]
        assert is_table(opened.model)
        assert (opened.model / "encoder.gguf").is_file()
        table = opened.embedder.table
        assert opened.embedder.passages(TEXTS).shape == (len(TEXTS), table.dimensions)
        # The encoder is its own, not the table.
        cosines = opened.embedder.cosines(TEXTS[0], TEXTS)
        assert cosines[0] == pytest.approx(1.0, abs=1e-3)
    # A table that is there is taken as it is.
    plain = Encoder(static=str(opened.model))
    with open_embedder(plain, tmp_path, TEXTS) as again:
        assert again
        assert isinstance(again.embedder, StaticTable)
        assert again.embedder.digest == table.digest


@pytest.mark.slow
def test_minilms_table_knows_what_words_mean(tmp_path: Path) -> None:
    try:
        folder = minilm.fetch(cache(os.environ))
    except UserError as error:
        pytest.skip(str(error.problems[0].found))
    table = StaticTable(distil(folder, "mean", tmp_path / "table"))
    assert table.dimensions == 256
    vectors = table.passages(["Plants make sugar from light.", "A shark is a large fish."])
    asked = table.queries(["photosynthesis of leaves", "animals of the ocean"])
    assert (asked @ vectors.T).argmax(axis=1).tolist() == [0, 1]
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
