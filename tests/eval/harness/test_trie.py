"""Sequences laid out as a tree."""

from __future__ import annotations

import random

import pytest

from eval.harness.trie import SHARED_TOKENS, Chunk, Tokens, chunks, common, families


def branch(chunk: Chunk, place: int) -> Tokens:
    """The tokens that a place of the row sees, in order: the prefix and its own branch."""
    row = chunk.sees()[place]
    first = len(chunk.prefix)
    seen = [chunk.tokens[other - first] for other in range(first, len(row)) if row[other]]
    assert row[:first].all()
    return (*chunk.prefix, *seen)


def test_two_answers_behind_one_question_share_it() -> None:
    """By hand: 1 2 is read once, then 3 on one branch and 4 5 on the other."""
    [chunk] = chunks({(1, 2, 3): 1, (1, 2, 4, 5): 1}, size=100)
    # They share less than SHARED_TOKENS, so each is its own family.
    assert chunk.tokens == [1, 2, 3, 1, 2, 4, 5]
    chunk = Chunk()
    path = chunk.add((1, 2, 3), [])
    chunk.add((1, 2, 4, 5), path[:2])
    assert (chunk.tokens, chunk.depths) == ([1, 2, 3, 4, 5], [0, 1, 2, 2, 3])
    assert chunk.parents == [-1, 0, 1, 1, 3]
    assert chunk.sees().astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 0, 1, 0],
        [1, 1, 0, 1, 1],
    ]
    assert not chunk.is_one_branch


def test_one_sequence_needs_no_mask() -> None:
    [chunk] = chunks({(1, 2, 3): 2})
    assert chunk.is_one_branch


def test_common_beginnings() -> None:
    assert [common((1, 2), (1, 3)), common((1, 2), (1, 2, 3)), common((), (1,))] == [1, 2, 0]


def test_families_part_where_little_is_shared() -> None:
    shots = tuple(range(SHARED_TOKENS))
    assert list(families([(*shots, 1), (*shots, 2), (7, 8)])) == [
        [(*shots, 1), (*shots, 2)],
        [(7, 8)],
    ]


@pytest.mark.parametrize("size", [8, 40, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_every_token_sees_its_own_sequence_and_nothing_else(size: int, seed: int) -> None:
    """Random trees of two levels, with sequences that are the beginning of others."""
    rng = random.Random(seed)
    shots = tuple(rng.randrange(5) for _ in range(40))
    needed: dict[Tokens, int] = {}
    for _ in range(12):
        asked = shots[: rng.choice([0, 10, 40])] + tuple(
            rng.randrange(5) for _ in range(rng.randrange(1, 9))
        )
        for _ in range(rng.randrange(1, 4)):
            text = asked + tuple(rng.randrange(5) for _ in range(rng.randrange(4)))
            needed[text] = min(needed.get(text, 10**6), len(asked) - 1)
    seen: list[Tokens] = []
    for chunk in chunks(needed, size=size):
        for text, path in chunk.paths.items():
            seen.append(text)
            assert len(chunk.prefix) <= needed[text], "what is read off lies in the row"
            assert [chunk.depths[place] for place in path] == list(
                range(len(chunk.prefix), len(text))
            )
            assert branch(chunk, path[-1]) == text
    assert sorted(seen) == sorted(needed), "each sequence once"


def test_worked_examples_are_read_once_for_a_thousand_questions() -> None:
    shots = tuple(range(100, 700))
    needed = {(*shots, question, answer): 600 for question in range(250) for answer in range(4)}
    made = list(chunks(needed))
    assert {chunk.prefix for chunk in made} == {shots}
    # 250 questions and 1,000 answers behind them; where a chunk ends a question may be read again.
    assert 1250 <= sum(len(chunk.tokens) for chunk in made) <= 1250 + len(made)
    assert all(len(chunk.tokens) <= 1024 for chunk in made)
