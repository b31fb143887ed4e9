"""The engines that run a variant's weights, and the choice between them."""

from __future__ import annotations

from eval.backends.interface import Backend


def open_backend(kind: str, weights: str, stop: str, threads: int) -> Backend:
    """Weights loaded in their engine: `gguf` in llama.cpp, everything else in transformers."""
    if kind == "gguf":
        from eval.backends.llamacpp import LlamaCpp

        return LlamaCpp(weights, stop, threads)
    from eval.backends.hf import HuggingFace

    return HuggingFace(weights, stop, threads)
