"""Which rows share a batch: rows of like length, so that little of it is padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

POOL = 50
"""Batches sorted together: enough to group well, few enough that each epoch mixes anew."""


class LengthGrouped(Sampler[int]):
    """All rows once an epoch, in an order that seed and epoch alone decide, whatever ranks or resumptions there are.

    `batch` is the number of rows of one optimizer step over all ranks. The batch with the longest row comes first:
    what does not fit into memory fails at once.
    """

    def __init__(self, lengths: Sequence[int], batch: int, seed: int) -> None:
        self.lengths, self.batch, self.seed, self.epoch = lengths, batch, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        shuffled = torch.randperm(len(self), generator=generator).tolist()
        batches = self._batches(shuffled)
        partial = [batches.pop()] if len(batches[-1]) < self.batch else []
        mixed = [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
        longest = max(self.lengths)
        mixed.sort(key=lambda batch: longest not in map(self._length, batch))
        yield from (row for batch in [*mixed, *partial] for row in batch)

    def _batches(self, rows: list[int]) -> list[list[int]]:
        """Pools sorted from long to short, cut into batches. Only the last batch of the last pool may be a part."""
        size = POOL * self.batch
        starts = range(0, max(len(rows) - size, 0) + 1, size)
        pools = [rows[start : start + size] for start in starts]
        pools[-1] += rows[starts[-1] + size :]
        ordered = [row for pool in pools for row in sorted(pool, key=self._length, reverse=True)]
        return [ordered[start : start + self.batch] for start in range(0, len(ordered), self.batch)]

    def _length(self, row: int) -> int:
        return self.lengths[row]


def by_tokens(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """All rows from long to short, as many a batch as `budget` tokens hold when padded (at least one)."""
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row], reverse=True):
        if not batches or lengths[batches[-1][0]] * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(row)
    return batches
