"""The llama.cpp backend: a GGUF file, scored and decoded by the runtime the laptop uses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.backends.interface import Ids, ScoreRequest
from stemma.llama import Llama, log_softmax

CONTEXT_STEP = 256


class _Timed(Llama):
    """A model that can be told to write on past the end of its answer, so that timings count equal
    work."""

    endless = False

    def is_end(self, token: int) -> bool:
        return not self.endless and super().is_end(token)


class LlamaCpp:
    """A GGUF file, loaded by llama.cpp on the CPU."""

    def __init__(self, weights: str, stop: str, threads: int) -> None:
        self._path = Path(weights)
        self._threads = threads
        self._llama = _Timed(self._path, CONTEXT_STEP, threads)
        self._stop = self.tokenize(stop)[0]

    def tokenize(self, text: str) -> Ids:
        return self._llama.tokenize(text)

    def detokenize(self, ids: Ids) -> str:
        return self._llama.detokenize(ids)

    def is_stop(self, token: int) -> bool:
        return self._llama.is_end(token)

    def next_log_probs(self, prompt: Ids) -> NDArray[np.float32]:
        return log_softmax(self._with_room(len(prompt)).logits(prompt, len(prompt) - 1))[0]

    def log_probs(self, requests: Sequence[ScoreRequest]) -> list[list[list[float]]]:
        llama = self._with_room(max(len(r.prompt) + max(map(len, r.answers)) for r in requests))
        return [llama.log_probs(request.prompt, request.answers) for request in requests]

    def generate(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[Ids]:
        llama = self._with_room(max(map(len, prompts)) + max_new_tokens)
        answers = [llama.generate(prompt, max_new_tokens) for prompt in prompts]
        # An answer shorter than allowed was ended by a stop token, which llama.cpp's loop leaves
        # out.
        return [ids + [self._stop] * (len(ids) < max_new_tokens) for ids in answers]

    def extend(self, prompt: Ids, count: int) -> Ids:
        llama = self._with_room(len(prompt) + count)
        llama.endless = True
        try:
            return llama.generate(prompt, count)
        finally:
            llama.endless = False

    def _with_room(self, tokens: int) -> _Timed:
        """The model with a context that holds `tokens`: opened again only when more is asked for
        than before."""
        if tokens > self._llama.context_tokens:
            self._llama.close()
            self._llama = _Timed(
                self._path, -(-tokens // CONTEXT_STEP) * CONTEXT_STEP, self._threads
            )
        return self._llama
