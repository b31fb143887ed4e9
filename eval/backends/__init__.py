"""The engines that run a variant's weights, and the choice between them."""

from __future__ import annotations

from eval.backends.interface import Backend


def open_backend(kind: str, weights: str, stop: str, threads: int, smaller: int = 1) -> Backend:
    """Weights loaded in their engine: `gguf` in llama.cpp, everything else in transformers.

    Its batches are so many times `smaller` than usual.
    """
    if kind == "gguf":
        from eval.backends.llamacpp import LlamaCpp

        return LlamaCpp(weights, stop, threads, smaller)
    from eval.backends.hf import HuggingFace

    return HuggingFace(weights, stop, threads, smaller)
