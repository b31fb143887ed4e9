"""How well a search's first passages answer a question: what abstaining goes by. Pure.

A cosine alone says little: in a database of one subject the nearest passage is near whether or not
it holds the answer. Whether a passage holds the question's rare words says more, but nothing of
questions in other words. So both count, with a weight that is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping

from stemma.retrieval.words import words_of

FIRST = 3
"""Passages of which one must hold the question's words."""


def word_share(weights: Mapping[str, float], text: str) -> float:
    """The share of a question's words, by their weights, that a text holds; 0 of no words.

    Weights: how often each stands in the question × how rare it is in the database, as BM25 weighs
    words. A word that no passage holds is the rarest.
    """
    total = sum(weights.values())
    if not total:
        return 0.0
    held = weights.keys() & set(words_of(text))
    return sum(weights[word] for word in held) / total


def relevance(cosine: float, share: float, weight: float) -> float:
    """Of the best cosine and the largest share of words: `weight` of the one, the rest of the
    other."""
    return weight * cosine + (1 - weight) * share
