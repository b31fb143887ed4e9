"""The llama.cpp backend: a GGUF file, scored and decoded by the runtime the laptop uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.backends.interface import Backend, Ids, LogProbs, ScoreRequest
from stemma.llama import Llama, log_softmax

CONTEXT_STEP = 256


class _Timed(Llama):
    """A model that can be told to write on past the end of its answer, so that timings count equal
    work."""

    endless = False

    def is_end(self, token: int) -> bool:
        return not self.endless and super().is_end(token)


class LlamaCpp(Backend):
    """A GGUF file, loaded by llama.cpp on the CPU."""

    def __init__(self, weights: str, stop: str, threads: int, smaller: int = 1) -> None:
        self._path = Path(weights)
        self._threads = threads
        self._smaller = smaller
        self._llama = _Timed(self._path, CONTEXT_STEP, threads, smaller)
        self._stop = self.tokenize(stop)[0]

    def tokenize(self, text: str) -> Ids:
        return self._llama.tokenize(text)

    def detokenize(self, ids: Ids) -> str:
        return self._llama.detokenize(ids)

    def is_stop(self, token: int) -> bool:
        return self._llama.is_end(token)

    def distributions(self, ids: Ids, start: int) -> NDArray[np.float32]:
        return log_softmax(self._with_room(len(ids)).logits(ids, start))

    def scored(self, requests: Sequence[ScoreRequest]) -> Iterator[tuple[int, LogProbs]]:
        """Requests with the same prompt follow one another: it is read once, and an answer that
        several of them have is scored once."""
        if not requests:
            return
        llama = self._with_room(max(len(r.prompt) + max(map(len, r.answers)) for r in requests))
        same_prompt: dict[tuple[int, ...], list[int]] = {}
        for place, request in enumerate(requests):
            same_prompt.setdefault(tuple(request.prompt), []).append(place)
        for prompt, places in same_prompt.items():
            answers = {tuple(answer) for place in places for answer in requests[place].answers}
            distinct = sorted(answers)
            found = dict(zip(distinct, llama.log_probs(prompt, distinct), strict=True))
            for place in places:
                yield place, [found[tuple(answer)] for answer in requests[place].answers]

    def generated(self, prompts: Sequence[Ids], max_new_tokens: int) -> Iterator[tuple[int, Ids]]:
        if not prompts:
            return
        llama = self._with_room(max(map(len, prompts)) + max_new_tokens)
        for place, prompt in enumerate(prompts):
            ids = llama.generate(prompt, max_new_tokens)
            # An answer shorter than allowed was ended by a stop token, which llama.cpp's loop
            # leaves out.
            yield place, ids + [self._stop] * (len(ids) < max_new_tokens)

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
            room = -(-tokens // CONTEXT_STEP) * CONTEXT_STEP
            self._llama = _Timed(self._path, room, self._threads, self._smaller)
        return self._llama
