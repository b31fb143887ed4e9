"""A loaded Hugging Face model: the digest of its weights, and its logits."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def weights_digest(model: Any) -> str:
    """sha256 over every tensor's name, type, shape and bytes. Ask before any forward pass:
    bitsandbytes 0.50.2 repacks 4-bit weights in place for CPUs with AVX512-BF16 when a model is
    first used.
    """
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def answer_logits(
    model: Any, samples: Sequence[tuple[list[int], int]]
) -> Iterator[NDArray[np.float32]]:
    """For each (ids, start) the logits after every token from `start` on, one sample at a time."""
    import torch

    def one(ids: list[int], start: int) -> torch.Tensor:
        logits: torch.Tensor = model(torch.tensor([ids]), logits_to_keep=len(ids) - start).logits[0]
        return logits.float()

    for ids, start in samples:
        with torch.inference_mode():
            logits = one(ids, start).numpy()
        yield logits
