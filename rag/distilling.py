"""A sentence encoder to a static table of word vectors, by model2vec.

model2vec puts every token of the vocabulary through the encoder once, keeps the main components and
weighs tokens by how rare they are. That needs torch; searching does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma.errors import Problem, UserError
from stemma.files import publish
from stemma.jsonl import read_object

if TYPE_CHECKING:  # it loads llama.cpp, which `plan` does without
    from stemma.retrieval.embedding import Pooling

DIMENSIONS = 256
POOLINGS: dict[Pooling, str] = {"mean": "mean", "cls": "first", "last": "last"}
"""model2vec's names of ours."""


def is_table(folder: Path) -> bool:
    """Whether a model's folder holds a static table already, rather than a sentence encoder."""
    path = folder / "config.json"
    return path.is_file() and read_object(path).get("model_type") == "model2vec"


def distil(folder: Path, pooling: Pooling, out: Path) -> Path:
    """Make a static table at `out` of the sentence encoder in `folder`; a whole one stays.

    Raises UserError where the encoder has fewer tokens than components, or a part is missing.
    """
    return publish(out, lambda part: _distil(folder, pooling, part))


def _distil(folder: Path, pooling: Pooling, out: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    distill_from_model = _distiller()
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    table = distill_from_model(
        model,
        tokenizer,
        device="cpu",
        pca_dims=min(DIMENSIONS, model.config.hidden_size),
        pooling=POOLINGS[pooling],
    )
    table.save_pretrained(out)


def _distiller() -> Any:
    try:
        from model2vec.distill import distill_from_model
    except ImportError as error:
        hint = "`pip install skeletoken`, or name a table that is there already"
        raise UserError(Problem("rag.encoder.static", str(error), "model2vec", hint)) from None
    return distill_from_model
