"""Batches of rows of like length, so that little of them is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import TrainerCallback

POOL = 50
"""Batches sorted together: enough to group well, few enough that each epoch mixes anew."""


class LengthGrouped(Sampler[int]):
    """A sampler that gives all rows once an epoch, those of like length together.

    Seed and epoch alone decide the order, whatever ranks or resumptions there are. The batch with
    the longest row comes first: what does not fit into memory fails at once.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        """`lengths` are tokens by row; `batch` is the rows of one optimizer step on all ranks."""
        self.lengths = lengths
        self.batch = batch
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        shuffled = torch.randperm(len(self), generator=generator).tolist()
        batches = self._batches(shuffled)
        partial = [batches.pop()] if len(batches[-1]) < self.batch else []
        order = torch.randperm(len(batches), generator=generator).tolist()
        mixed = [batches[index] for index in order]
        longest = max(self.lengths)
        mixed.sort(key=lambda batch: longest not in map(self._length, batch))
        for batch in [*mixed, *partial]:
            yield from batch

    def _batches(self, rows: list[int]) -> list[list[int]]:
        """Pools of rows, sorted from long to short and cut into batches.

        Only the last batch of the last pool may be smaller.
        """
        size = POOL * self.batch
        starts = range(0, max(len(rows) - size, 0) + 1, size)
        pools = [rows[start : start + size] for start in starts]
        pools[-1] += rows[starts[-1] + size :]
        ordered = [row for pool in pools for row in sorted(pool, key=self._length, reverse=True)]
        return [ordered[start : start + self.batch] for start in range(0, len(ordered), self.batch)]

    def _length(self, row: int) -> int:
        return self.lengths[row]


class TellEpoch(TrainerCallback):
    """A callback that tells the sampler its epoch.

    accelerate does, but not on several ranks where a resumed run skips batches: the sampler would
    stay in the first epoch's order, and give some rows twice and some never.
    """

    def __init__(self, sampler: LengthGrouped) -> None:
        self.sampler = sampler

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Resumed within an epoch, it is a fraction.
        self.sampler.set_epoch(int(state.epoch or 0))


def by_tokens(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """All rows from long to short, in batches of at most `budget` tokens when padded.

    A batch has at least one row. Returns row numbers.
    """
    batches: list[list[int]] = []
    rows = sorted(range(len(lengths)), key=lambda row: lengths[row], reverse=True)
    for row in rows:
        # The first row of a batch is its longest: the others are padded to it.
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(row)
    return batches
