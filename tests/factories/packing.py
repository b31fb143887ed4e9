"""Rows whose packed batches are as many as their order makes them, counted by Axolotl."""

from __future__ import annotations

import random

SEQUENCE, ROWS = 256, 400


def counted_steps() -> int:
    """Axolotl's number of steps for ten epochs of the same rows.

    They are packed in orders that it draws.
    """
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.trainer import calculate_total_num_steps
    from datasets import Dataset

    lengths = [random.Random(row).randint(40, 200) for row in range(ROWS)]
    ids = [[1] * length for length in lengths]
    rows = Dataset.from_dict({"input_ids": ids, "labels": ids, "length": lengths})
    packing = {"sample_packing_group_size": 100_000, "sample_packing_bin_size": 200}
    sizes = {"sequence_len": SEQUENCE, "micro_batch_size": 1, "batch_size": 1, "num_epochs": 10}
    steps: int = calculate_total_num_steps(
        DictDefault(sample_packing=True, dataset_num_proc=1, **packing, **sizes), rows
    )
    return steps
