"""Splits and training steps that fit a number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
