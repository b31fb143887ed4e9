"""The interface of a loaded variant: what a task may ask of it, whatever engine runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stemma.templates import Rendered

Ids = list[int]
LogProbs = list[list[float]]
"""Of each answer of a request: the log-probability of each of its tokens."""


@dataclass(frozen=True)
class ScoreRequest:
    """One prompt and the answers to score behind it."""

    prompt: Ids
    answers: list[Ids]


class Backend(Protocol):
    """One variant, loaded. Token ids in, token ids and log-probabilities out; greedy decoding only.

    An engine derives from it and says how it scores and generates: what is done first is handed
    over first, so that it can be kept. `log_probs` and `generate` are the same in the order asked.
    """

    def tokenize(self, text: str) -> Ids:
        """Ids of the text; special tokens written in it are parsed, none is added."""

    def detokenize(self, ids: Ids) -> str:
        """The text of the ids, special tokens left out."""

    def distributions(self, ids: Ids, start: int) -> NDArray[np.float32]:
        """The whole distribution behind each token from `start` on: [tokens, vocabulary].

        For a few tokens only: all are held at once.
        """

    def next_log_probs(self, prompt: Ids) -> NDArray[np.float32]:
        """The whole distribution of the token behind the prompt."""
        found: NDArray[np.float32] = self.distributions(prompt, len(prompt) - 1)[0]
        return found

    def scored(self, requests: Sequence[ScoreRequest]) -> Iterator[tuple[int, LogProbs]]:
        """Each request's place and its answers' log-probabilities, batch by batch."""

    def generated(self, prompts: Sequence[Ids], max_new_tokens: int) -> Iterator[tuple[int, Ids]]:
        """Each prompt's place and its greedy answer, batch by batch; one that stopped ends with
        its stop token."""

    def log_probs(self, requests: Sequence[ScoreRequest]) -> list[LogProbs]:
        """For each request, for each answer: the log-probability of each of its tokens."""
        found = dict(self.scored(requests))
        return [found[place] for place in range(len(requests))]

    def generate(self, prompts: Sequence[Ids], max_new_tokens: int) -> list[Ids]:
        """Greedy answers; one that stopped ends with its stop token."""
        found = dict(self.generated(prompts, max_new_tokens))
        return [found[place] for place in range(len(prompts))]

    def extend(self, prompt: Ids, count: int) -> Ids:
        """Exactly `count` further tokens, stop tokens or not: for timing."""

    def is_stop(self, token: int) -> bool:
        """Whether this token ends an answer."""


EDGE = 8
"""Characters on each side of a border that decide whether it lies between tokens: tokenizers cut
words apart before they merge anything. The last ones of a prompt are the template's, mostly, so one
answer serves for all rows."""


def request_of(backend: Backend, text: Rendered) -> ScoreRequest:
    """A rendered row as the backend's tokens."""
    return requests_of(backend, [text])[0]


def requests_of(backend: Backend, texts: Sequence[Rendered]) -> list[ScoreRequest]:
    """Rendered rows as the backend's tokens: those that a model reads in the whole text.

    A border between prompt and answer may lie inside a token: behind `Answer: ` an answer `A` is
    the token ` A`; and a SentencePiece tokenizer may put a blank before whatever it is given, so
    that ` A` alone is more than in its text. There the answers begin with the token that the border
    lies in, or else what is scored would stand in no text that the model has seen.
    """
    known: dict[tuple[str, str], bool] = {}
    found = []
    for text in texts:
        edges = [(text.prompt[-EDGE:], answer[:EDGE]) for answer in text.answers]
        for before, behind in set(edges) - known.keys():
            known[before, behind] = _meet(backend, before, behind)
        is_border = all(known[one] for one in edges)
        found.append(_apart(backend, text) if is_border else _together(backend, text))
    return found


def _meet(backend: Backend, before: str, behind: str) -> bool:
    return backend.tokenize(before + behind) == backend.tokenize(before) + backend.tokenize(behind)


def _apart(backend: Backend, text: Rendered) -> ScoreRequest:
    answers = [backend.tokenize(answer) for answer in text.answers]
    return ScoreRequest(backend.tokenize(text.prompt), answers)


def _together(backend: Backend, text: Rendered) -> ScoreRequest:
    """Every answer from the token on in which a whole text first differs from the prompt alone."""
    prompt = backend.tokenize(text.prompt)
    wholes = [backend.tokenize(text.prompt + answer) for answer in text.answers]
    same = takewhile(lambda ids: len(set(ids)) == 1, zip(prompt, *wholes, strict=False))
    border = len(list(same))
    return ScoreRequest(prompt[:border], [ids[border:] for ids in wholes])
