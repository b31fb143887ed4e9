"""Rankings cut, fused and spread; pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def best(scores: NDArray[np.float32], count: int, floor: float | None = None) -> list[int]:
    """The places of the `count` largest scores, best first; of equal ones the first.

    `floor`: only scores above it.
    """
    if floor is None:
        places = np.arange(len(scores))
    else:
        places = np.flatnonzero(scores > floor)
        scores = scores[places]
    if len(places) > count:
        # All that equal the last one stay, so that the first of them wins whatever numpy's order.
        kept = scores >= np.partition(scores, len(scores) - count)[len(scores) - count]
        places, scores = places[kept], scores[kept]
    order = np.argsort(-scores, kind="stable")[:count]
    return [int(place) for place in places[order]]


def fused(
    lexical: Sequence[int], dense: Sequence[int], weight: float, rrf_k: float
) -> list[tuple[int, float]]:
    """Two rankings as one, with each number's score, best first.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) with weights: (1 - weight) /
    (rrf_k + rank in `lexical`) + weight / (rrf_k + rank in `dense`). Equal scores: the smaller
    number first.
    """
    scores: dict[int, float] = {}
    for ranking, share in ((lexical, 1 - weight), (dense, weight)):
        for rank, number in enumerate(ranking, start=1):
            scores[number] = scores.get(number, 0.0) + share / (rrf_k + rank)
    found = [(number, score) for number, score in scores.items() if score > 0]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def spread(
    relevance: NDArray[np.float32], likeness: NDArray[np.float32], count: int, balance: float
) -> list[int]:
    """Places of `count` candidates chosen one by one by maximal marginal relevance.

    Carbonell and Goldstein, SIGIR 1998: balance × relevance - (1 - balance) × the likeness to the
    likest one chosen before. `relevance`: [candidates], from 0 to 1; `likeness`: [candidates,
    candidates], the same scale. Quadratic in candidates.
    """
    chosen: list[int] = []
    likest = np.zeros(len(relevance), dtype=np.float32)
    left = np.ones(len(relevance), dtype=bool)
    for _ in range(min(count, len(relevance))):
        gain = np.where(left, balance * relevance - (1 - balance) * likest, -np.inf)
        place = int(gain.argmax())
        chosen.append(place)
        left[place] = False
        likest = np.maximum(likest, likeness[place])
    return chosen
