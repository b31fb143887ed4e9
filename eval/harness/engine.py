"""The interface of an engine that benchmarks are measured on, and what both engines do alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from eval.backends.interface import Ids
from eval.harness.start import Start

Answer = tuple[float, bool]
"""A continuation's log-probability, and whether greedy decoding would have written it."""


@dataclass(frozen=True)
class Continuation:
    """Tokens to score behind a context. Neither is empty."""

    context: tuple[int, ...]
    tokens: tuple[int, ...]

    @property
    def read(self) -> tuple[int, ...]:
        """The tokens the engine reads: the last one is only predicted."""
        return self.context + self.tokens[:-1]


@dataclass(frozen=True)
class Writing:
    """A text to go on with: at most `tokens` more, until one of `stops` stands in what is new."""

    prompt: Ids
    tokens: int
    stops: tuple[str, ...]


class Engine(Protocol):
    """One variant, loaded for benchmarks."""

    begin: Start
    """How the model's own tokenizer begins a text."""
    window: int
    """Tokens the model was made for."""

    def tokenize(self, text: str) -> Ids:
        """Ids of the text; special tokens written in it are parsed, none is added."""

    def score(self, wanted: Sequence[Continuation]) -> list[Answer]:
        """Log-probability of each continuation. Raises StageFailed where one is no number."""

    def write(self, wanted: Sequence[Writing]) -> list[str]:
        """Greedy text behind each prompt, cut before its first stop."""

    @property
    def facts(self) -> dict[str, str]:
        """How it computes, in words, for the record."""


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before its first stop."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def has_stopped(tokens: Ids, stops: Sequence[str], detokenize: Callable[[Ids], str]) -> bool:
    """Whether the newest token completes a stop, however its characters are split into tokens.

    A character takes four tokens at most (bytes of UTF-8), so a stop lies in the last few.
    """
    if not stops:
        return False
    longest = max(map(len, stops))
    tail = detokenize(tokens[-(4 * longest + 8) :])
    return any(stop in tail for stop in stops)
