"""A sentence encoder as transformers runs it: what its GGUF is proven against."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from stemma.retrieval.embedding import Pooling

BATCH = 10
"""Texts read at once; the shorter are padded."""


def vectors_of(
    folder: Path, pooling: Pooling, max_tokens: int, texts: Sequence[str]
) -> NDArray[np.float32]:
    """Vectors of length 1, [texts, dimensions], in float32."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            inputs = tokenizer(
                list(texts[start : start + BATCH]),
                padding=True,
                truncation=True,
                max_length=max_tokens,
                return_tensors="pt",
            )
            hidden = model(**inputs).last_hidden_state
            pooled = _pool(hidden, inputs["attention_mask"], pooling)
            found.append(torch.nn.functional.normalize(pooled, dim=-1).numpy())
    return np.concatenate(found)


def _pool(hidden: Any, mask: Any, pooling: Pooling) -> Any:
    """Of `hidden` [texts, tokens, dimensions] where `mask` [texts, tokens] is 1."""
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
    # Padding stands on either side: the first and last token are found by the mask.
    places = mask.argmax(dim=1) if pooling == "cls" else _last(mask)
    return hidden[range(len(hidden)), places]


def _last(mask: Any) -> Any:
    return mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
