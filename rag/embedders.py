"""The recipe's embedder, made ready beside the database and opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rag.distilling import distil, is_table
from rag.encoder import find_folder, open_encoder, read_original
from stemma.files import remove
from stemma.gate import Gate, demand
from stemma.recipe.rag import Encoder
from stemma.retrieval.embedding import LlamaEmbedder
from stemma.retrieval.reranking import RerankedTable
from stemma.retrieval.static_table import StaticTable

GGUF = "encoder.gguf"
TABLE = "static"
BOTH = "static-with-encoder"
"""A static table's folder, and in it the encoder that re-ranks."""


@dataclass(frozen=True)
class Opened:
    """An embedder, its own file or folder, and the proof of its conversion."""

    embedder: LlamaEmbedder | StaticTable | RerankedTable
    model: Path
    gates: tuple[Gate, ...]


@contextmanager
def open_embedder(
    asked: Encoder | None, folder: Path, texts: Sequence[str]
) -> Iterator[Opened | None]:
    """The embedder that the recipe names, made in `folder` unless it is there; None where it names
    none. `texts` are passages that the conversion is proven on.

    Raises UserError where the model is not to be had, and StageFailed where its gate fails.
    """
    if asked is None:
        yield None
        return
    opened = _gguf(asked, folder, texts) if asked.model else _table(asked, folder, texts)
    try:
        if opened.gates:
            demand(opened.gates, "the encoder's GGUF is not the encoder")
        yield opened
    finally:
        opened.embedder.close()


def _gguf(asked: Encoder, folder: Path, texts: Sequence[str]) -> Opened:
    embedder, gate = open_encoder(asked, folder / GGUF, texts)
    return Opened(embedder, folder / GGUF, (gate,))


def _table(asked: Encoder, folder: Path, texts: Sequence[str]) -> Opened:
    model = find_folder(asked, "rag.encoder.static")
    if not is_table(model):
        model = distil(model, read_original(model, asked).pooling, folder / TABLE)
    if not asked.rerank:
        return Opened(StaticTable(model), model, ())
    encoder, gate = open_encoder(asked.rerank, folder / GGUF, texts)
    both = folder / BOTH
    try:
        remove(both)  # of a build with other models
        shutil.copytree(model, both)
        shutil.copyfile(folder / GGUF, both / GGUF)
        return Opened(RerankedTable(StaticTable(both), encoder), both, (gate,))
    except BaseException:
        encoder.close()
        raise
