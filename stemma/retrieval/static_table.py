"""Static tables of word vectors (model2vec's kind): a text's vector is the mean of its tokens'.

Thousands of passages a second on one core, less exact than a sentence encoder: for corpora of more
than a million passages. Neither torch nor transformers; time is linear in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stemma.digests import digest_json, digest_of
from stemma.errors import Problem, StageFailed, UserError

Vectors = NDArray[np.float32]

FILES = ("config.json", "tokenizer.json", "model.safetensors")
BATCH_TEXTS = 1024
"""Texts whose vectors are made at once."""


class StaticTable:
    """A table that model2vec opened: an `Embedder`.

    Queries and passages are read alike, and whole. Raises UserError when the folder holds no such
    table, or a damaged one.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder
        self._model = _open(folder)
        self.dimensions: int = self._model.dim
        """Numbers in a vector."""
        self.cut = 0
        """Texts of which only the beginning was read: none."""
        self.facts = self._facts()
        self.digest = digest_json(self.facts)

    def _facts(self) -> dict[str, Any]:
        """All that decides the vectors, as a database keeps it."""
        import model2vec

        return {
            "kind": "static",
            "weights_sha256": digest_json([digest_of(self.path / name) for name in FILES]),
            "runtime": f"model2vec {model2vec.__version__}",
            "pooling": "mean",
            "query_prefix": "",
            "passage_prefix": "",
            "max_tokens": None,
            "dimensions": self.dimensions,
        }

    def close(self) -> None:
        """Nothing to free; as the other embedder has it."""

    def queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of length 1, [texts, dimensions]; zeros for a text without a known token."""
        found = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for start in range(0, len(texts), BATCH_TEXTS):
            piece = [_readable(text) for text in texts[start : start + BATCH_TEXTS]]
            # `max_length` is None: by default it reads the first 512 tokens and says nothing.
            found[start : start + len(piece)] = self._model.encode(
                piece, max_length=None, normalize=False, use_multiprocessing=False
            )
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        if not np.isfinite(lengths).all():
            bad = int(np.flatnonzero(~np.isfinite(lengths))[0]) + 1
            what = f"the vector of text {bad} of {len(texts)} is not finite"
            raise StageFailed(f"{self.path.name}: {what}; the table is damaged")
        found /= np.where(lengths > 0, lengths, 1)
        return found

    passages = queries


def _readable(text: str) -> str:
    """A text without broken letters, on which the tokenizer would stop."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _open(folder: Path) -> Any:
    lacking = [name for name in FILES if not (folder / name).is_file()]
    expected = "a static table as model2vec saves it"
    if lacking:
        found = f"no {', no '.join(lacking)}"
        raise UserError(Problem(str(folder), found, expected, "name one under rag.encoder.static"))
    from model2vec import StaticModel

    try:
        return StaticModel.from_pretrained(folder, force_download=False)
    except Exception as error:  # of safetensors, tokenizers and json, each with its own classes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        hint = "delete it and run the rag stage again"
        raise UserError(Problem(str(folder), f"cannot be read: {reason}", expected, hint)) from None
