"""The entity graph of a text: how far sentences are joined by the nouns they share. Pure.

Zhao et al., "DiscoScore" (2022), section on EntityGraph, after Guinaudeau and Strube, "Graph-based
Local Coherence Modeling" (2013), written anew from the formula: sentences i < j that share a noun
give 1 / (j - i); the sum is divided by the number of sentences n.

    nouns of three sentences              raw                      maximum       normalised
    {force}, {force, mass}, {mass}        (1 + 1) / 3 = 0.67       1/2 + 1/3     0.8
    {force}, {force}, {force}             (1 + 1 + 1/2) / 3        0.83          1.0
    {force}                               0                        0             none

All pairs joined give the maximum H(n) - 1, with H(n) = 1 + 1/2 + … + 1/n, which grows with n
without bound: raw values of texts of different length do not compare.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice

Nouns = Collection[str]
"""The different nouns of one sentence."""


def entity_graph(sentences: Sequence[Nouns]) -> float | None:
    """The raw value; None for a text without a sentence."""
    if not sentences:
        return None
    last_places: dict[str, list[int]] = {}
    total = 0.0
    for here, nouns in enumerate(sentences):
        unique = set(nouns)
        before = {place for noun in unique for place in last_places.get(noun, ())}
        total += sum(1 / (here - place) for place in before)
        for noun in unique:
            last_places.setdefault(noun, []).append(here)
    return total / len(sentences)


def maximum(sentences: int) -> float:
    """The value of so many sentences that all share a noun: H(n) - 1."""
    return sum(1 / number for number in range(2, sentences + 1))


def normalised(sentences: Sequence[Nouns]) -> float | None:
    """The raw value divided by its maximum, 0 to 1; None below two sentences."""
    raw = entity_graph(sentences)
    return None if raw is None or len(sentences) < 2 else raw / maximum(len(sentences))


def of_first(sentences: Sequence[Nouns], k: int) -> float | None:
    """The raw value of the first k sentences, so that length plays no part; None where there are
    fewer."""
    return entity_graph(list(islice(sentences, k))) if len(sentences) >= k else None
