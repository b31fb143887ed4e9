"""Echoed texts: what `/completions` with `echo` and `logprobs` says of a text's tokens. Pure.

A reply, of which only what is used is read:

    {"choices": [{"logprobs": {"tokens": ["What", " is", "\\n"], "token_logprobs": [null, -0.5,
     -2.1], "top_logprobs": [null, {" is": -0.5}, {"\\n": -2.1}]}}],
     "usage": {"prompt_tokens": 3, "completion_tokens": 1}}

Behind the text's tokens stands the one that the server wrote. Some servers leave the first token of
the vocabulary out of the list and count it (llama-cpp-python), others name it (vLLM).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from stemma.errors import StageFailed


@dataclass(frozen=True)
class Echo:
    """A text's tokens as the server names them, and what it says of them."""

    tokens: tuple[str, ...]
    log_probs: tuple[float | None, ...]
    """None: of the first token, which nothing stands before."""
    hidden: int
    """Tokens that the server counts and does not name."""
    written: float | None
    """The log-probability of the token it wrote behind the text; None: it wrote none."""
    likeliest: float | None
    """The highest that it names at that place."""

    def firsts(self, first: str) -> int:
        """How often the first token of the vocabulary stands in the text."""
        return self.hidden + (self.tokens.count(first) if first else 0)


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _LogProbs(_Body):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None = None


class _Choice(_Body):
    logprobs: _LogProbs | None = None


class _Usage(_Body):
    prompt_tokens: int
    completion_tokens: int = 0


class _Reply(_Body):
    choices: list[_Choice]
    usage: _Usage


def read_echo(body: Any) -> Echo | None:
    """The echo in a reply; None where it holds no log-probabilities of the text."""
    try:
        reply = _Reply.model_validate(body)
    except ValidationError:
        return None
    found = reply.choices[0].logprobs if reply.choices else None
    usage = reply.usage
    if found is None or len(found.tokens) != len(found.token_logprobs):
        return None
    named = len(found.tokens) - usage.completion_tokens
    hidden = usage.prompt_tokens - named
    # A reply without the text's own tokens holds those that were written alone.
    if named < 1 or hidden < 0:
        return None
    tops = found.top_logprobs or []
    top = tops[named] if named < len(tops) else None
    return Echo(
        tuple(found.tokens[:named]),
        tuple(found.token_logprobs[:named]),
        hidden,
        found.token_logprobs[named] if named < len(found.tokens) else None,
        max(top.values()) if top else None,
    )


def answers_of(prompt: Echo, wholes: Sequence[Echo]) -> list[list[float]]:
    """The log-probability of each token of each answer, from the token on in which a whole text
    first differs from the prompt alone: a border may lie inside a token.

    Raises StageFailed for a number that is none.
    """
    texts = [prompt.tokens, *(whole.tokens for whole in wholes)]
    same = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*texts, strict=False))
    border = len(list(same))
    return [_finite(whole.log_probs[border:]) for whole in wholes]


def _finite(log_probs: Sequence[float | None]) -> list[float]:
    found = [one for one in log_probs if one is not None and math.isfinite(one)]
    if len(found) < len(log_probs) or not found:
        raise StageFailed("the server gives log-probabilities that are no numbers, or none")
    return found
