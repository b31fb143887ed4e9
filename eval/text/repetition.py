"""Repetition within a text: different word pairs, and sentences said before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def distinct_2(words: Sequence[str]) -> float | None:
    """Different pairs of neighbouring words among all pairs, 0 to 1; None below two words.

    Distinct-2 of Li et al., "A Diversity-Promoting Objective Function" (2016), within one text:
    over a whole set it falls with the number of texts.
    """
    pairs = list(pairwise(words))
    return len(set(pairs)) / len(pairs) if pairs else None


def repeated_sentences(sentences: Sequence[Sequence[str]]) -> float | None:
    """Share of sentences, given by their words, that the text has said before; None without one."""
    return 1 - len(set(map(tuple, sentences))) / len(sentences) if sentences else None
