"""Splits and training steps that fit a number of rows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from data_builders.split import choose_split
from stemma.recipe.data import Parts

TEST_ROWS = 100
"""Test rows that are worth having: a share of 0.5 of them has an interval of ±10 points."""
VALIDATION_ROWS = 20
MOST_TEST = 0.3
LEAST_TEST = 0.05
STEPS = 40
"""Optimiser steps that a small set is repeated for; a large one is read once."""
MOST_EPOCHS = 4
"""More passes learn answers by heart."""
BATCH = 4
SEED = 42
SEEDS_TRIED = 100
OF_TEST = 0.6
"""Of the test rows that the shares promise, those that the draw must leave at least."""
OF_TRAINING = 0.75
LARGE = 2000
"""Questions from which on any draw is near its shares."""


@dataclass(frozen=True)
class Amounts:
    """The shares held out of a set, and how often the rest is read."""

    rows: int
    test: float
    validation: float

    @property
    def train_rows(self) -> int:
        return round(self.rows * (1 - self.test - self.validation))

    @property
    def epochs(self) -> int:
        return min(MOST_EPOCHS, max(1, math.ceil(STEPS / self._steps_an_epoch)))

    @property
    def steps(self) -> int:
        return self.epochs * self._steps_an_epoch

    @property
    def _steps_an_epoch(self) -> int:
        return max(1, math.ceil(self.train_rows / BATCH))


def fitted(rows: int) -> Amounts:
    """The amounts for a set of so many rows."""
    test = round(min(MOST_TEST, max(LEAST_TEST, TEST_ROWS / rows)), 2)
    validation = round(min(0.1, max(0.02, VALIDATION_ROWS / rows)), 2)
    return Amounts(rows, test, validation)


def fair_seed(sets: Collection[tuple[Collection[str], Amounts]]) -> int:
    """The first seed by which every set has test and validation rows and enough to train: a draw of
    few questions may leave none. Of each set the keys of its questions, and its amounts."""
    for seed in range(SEED, SEED + SEEDS_TRIED):
        if all(len(keys) > LARGE or _is_fair(keys, amounts, seed) for keys, amounts in sets):
            return seed
    return SEED


def _is_fair(keys: Collection[str], amounts: Amounts, seed: int) -> bool:
    shares = Parts(validation=amounts.validation, test=amounts.test)
    found = Counter(choose_split(key, seed, shares) for key in keys)
    training = 1 - amounts.test - amounts.validation
    return (
        found["test"] >= OF_TEST * amounts.test * len(keys)
        and found["validation"] > 0
        and found["train"] >= OF_TRAINING * training * len(keys)
    )
