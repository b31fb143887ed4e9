"""Batches of rows of like length."""

from __future__ import annotations

import random

import pytest

from stemma.plugin.batches import LengthGrouped, by_tokens


def order(lengths: list[int], batch: int, seed: int = 0, epoch: int = 0) -> list[int]:
    sampler = LengthGrouped(lengths, batch, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def padding(lengths: list[int], rows: list[int], batch: int) -> float:
    groups = [[lengths[row] for row in rows[i : i + batch]] for i in range(0, len(rows), batch)]
    padded = sum(max(group) * len(group) for group in groups)
    return 1 - sum(lengths) / padded


LENGTHS = random.Random(1).choices(range(20, 500), k=1003)


@pytest.mark.parametrize(
    ("count", "batch"), [(1, 4), (3, 4), (4, 4), (9, 4), (200, 4), (203, 4), (1003, 4), (401, 2)]
)
def test_every_row_comes_once_and_the_longest_first(count: int, batch: int) -> None:
    lengths = LENGTHS[:count]
    rows = order(lengths, batch)
    assert sorted(rows) == list(range(count))
    assert max(lengths) in [lengths[row] for row in rows[:batch]]


def test_seed_and_epoch_decide_alone() -> None:
    assert order(LENGTHS, 4, seed=1) == order(LENGTHS, 4, seed=1)
    assert order(LENGTHS, 4, seed=1) != order(LENGTHS, 4, seed=2)
    assert order(LENGTHS, 4, epoch=0) != order(LENGTHS, 4, epoch=1)


def test_little_is_padding() -> None:
    assert padding(LENGTHS, list(range(len(LENGTHS))), 4) > 0.3
    assert padding(LENGTHS, order(LENGTHS, 4), 4) < 0.03


def test_batches_are_not_sorted_in_time() -> None:
    rows = order(LENGTHS, 4)
    first, second = rows[4:500], rows[500:]
    mean = [sum(LENGTHS[row] for row in half) / len(half) for half in (first, second)]
    assert abs(mean[0] - mean[1]) < 20


def test_by_tokens() -> None:
    assert by_tokens([3, 10, 4, 3], budget=9) == [[1], [2, 0], [3]]
    assert by_tokens([], budget=9) == []
