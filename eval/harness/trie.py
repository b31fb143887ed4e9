"""Token sequences that begin alike, laid out so that every token they share is computed once.

Four choices behind one question, or a thousand questions behind the same worked examples, are a
tree. A `Chunk` is a piece of it in one row: each token sees the tokens before it on its own branch
and no others, which a mask says. What all of a large piece share goes in front as `prefix`.

Sorting n sequences of L tokens takes O(n L log n) comparisons at worst; a chunk's mask has
size x (prefix + size) entries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Tokens = tuple[int, ...]

CHUNK_TOKENS = {"cpu": 256, "cuda": 2048}
"""Tokens computed at once: enough that weights are read seldom, little enough that the attention
of every token to every other one, which the mask does not save, stays small beside the rest (1,024
on a CPU cost SmolLM2 all that it saved on questions with nothing in common)."""
SHARED_TOKENS = 32
"""A beginning in common that is shorter than this is not worth a step of its own."""


@dataclass
class Chunk:
    """Sequences laid out in one row behind a beginning that all of them share."""

    prefix: Tokens = ()
    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    """The place of each token in its own sequence, the prefix counted."""
    parents: list[int] = field(default_factory=list)
    """Where the token before each one lies in the row; -1 behind the prefix."""
    paths: dict[Tokens, list[int]] = field(default_factory=dict)
    """Where the tokens of each whole sequence lie, those behind the prefix."""

    def add(self, sequence: Tokens, path: list[int]) -> list[int]:
        """Lay out a sequence whose first tokens lie at `path` already; all of its places."""
        path = list(path)
        for depth in range(len(self.prefix) + len(path), len(sequence)):
            self.parents.append(path[-1] if path else -1)
            path.append(len(self.tokens))
            self.tokens.append(sequence[depth])
            self.depths.append(depth)
        self.paths[sequence] = path
        return path

    @property
    def is_one_branch(self) -> bool:
        """Whether each token follows the one before it, so that no mask is needed."""
        return self.parents == list(range(-1, len(self.parents) - 1))

    def sees(self) -> NDArray[np.bool_]:
        """Which of prefix and row each token of the row may look at: [row, prefix + row]."""
        count, first = len(self.tokens), len(self.prefix)
        seen = np.zeros((count, first + count), dtype=bool)
        seen[:, :first] = True
        for place, parent in enumerate(self.parents):
            if parent >= 0:
                seen[place] = seen[parent]
            seen[place, first + place] = True
        return seen


def common(one: Tokens, other: Tokens) -> int:
    """The number of tokens that both begin with."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))


def chunks(needed: Mapping[Tokens, int], size: int = CHUNK_TOKENS["cpu"]) -> Iterator[Chunk]:
    """The sequences in chunks of about `size` tokens, each sequence in exactly one of them.

    `needed` gives the first place of each sequence that something is read off at: it lies in the
    row, not in the prefix. Families that share SHARED_TOKENS or more stay together. A family larger
    than a chunk has its beginning put in front; smaller ones lie side by side.
    """
    chunk = Chunk()
    for family in families(sorted(needed)):
        if _tokens(family) > size:
            shared = common(family[0], family[-1])
            prefix = family[0][: min(shared, *(needed[sequence] for sequence in family))]
            yield from _split(family, prefix, size)
            continue
        if chunk.tokens and len(chunk.tokens) + _tokens(family) > size:
            yield chunk
            chunk = Chunk()
        _lay_out(chunk, family)
    if chunk.paths:
        yield chunk


def families(ordered: Sequence[Tokens]) -> Iterator[list[Tokens]]:
    """Neighbours among sorted sequences that begin with SHARED_TOKENS or more alike."""
    family: list[Tokens] = []
    for sequence in ordered:
        if family and common(family[-1], sequence) < SHARED_TOKENS:
            yield family
            family = []
        family.append(sequence)
    if family:
        yield family


def _split(family: list[Tokens], prefix: Tokens, size: int) -> Iterator[Chunk]:
    """A large family in chunks behind what all of it shares."""
    begin = 0
    while begin < len(family):
        end, tokens = begin + 1, len(family[begin]) - len(prefix)
        while end < len(family):
            more = len(family[end]) - common(family[end - 1], family[end])
            if tokens + more > size:
                break
            tokens += more
            end += 1
        chunk = Chunk(prefix)
        _lay_out(chunk, family[begin:end])
        yield chunk
        begin = end


def _lay_out(chunk: Chunk, ordered: list[Tokens]) -> None:
    path: list[int] = []
    before: Tokens = ordered[0]
    for sequence in ordered:
        known = common(before, sequence) - len(chunk.prefix)
        path = chunk.add(sequence, path[: max(known, 0)])
        before = sequence


def _tokens(family: list[Tokens]) -> int:
    """Tokens of a sorted family, what is shared counted once."""
    fresh = (len(b) - common(a, b) for a, b in pairwise(family))
    return len(family[0]) + sum(fresh)
