"""Warnings of a training that would be for nothing, from its settings and its rows: steps that end
within the warm-up, fewer rows than a batch, rows that are mostly too long. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from stemma.recipe.check import warmup_warning

MANY = 0.1
"""The share of rows left out as too long that is told."""


def count_steps(rows: int, keys: Mapping[str, Any], processes: int) -> int:
    """Optimizer steps as transformers 5.20 counts them (`Trainer.set_initial_training_values`).

    The last, partial batch of an epoch is a step of its own.
    """
    batches = math.ceil(rows / (keys.get("micro_batch_size", 1) * processes))
    of_an_epoch = max(1, math.ceil(batches / keys["gradient_accumulation_steps"]))
    return math.ceil(keys.get("num_epochs", 1) * of_an_epoch)


def rows_a_step(keys: Mapping[str, Any], processes: int) -> int:
    """The rows (packed: sequences) of one optimizer step.

    The batch sizes are of each process, as in Axolotl.
    """
    rows: int = keys.get("micro_batch_size", 1) * keys["gradient_accumulation_steps"]
    return processes * rows


def training_warnings(
    stage: str, keys: Mapping[str, Any], counts: Mapping[str, int], processes: int = 1
) -> Iterator[str]:
    """What is foreseeable of a training with these rows, a sentence each.

    `counts` as `stemma.training.rows` counts them; `tokens` may be missing where there is no
    tokenizer yet. More processes make fewer steps: what is told of one holds for all.
    """
    rows, needed = counts["rows"], rows_a_step(keys, processes)
    left_out = counts.get("left_out_longer_than_sequence_len", 0)
    if left_out >= MANY * (rows + left_out) > 0:
        length = keys["sequence_len"]
        yield (
            f"{stage}: {left_out:,} of {rows + left_out:,} rows are longer than `sequence_len: "
            f"{length}` and are left out; hint: raise it, as far as the model's positions go"
        )
    packed = bool(keys.get("sample_packing"))
    if packed and "tokens" not in counts:
        return  # the next stage, whose first act is to count them
    if packed:
        rows = math.ceil(counts["tokens"] / keys["sequence_len"])
    if not keys.get("max_steps"):  # else the recipe alone has told it
        yield from filter(None, [warmup_warning(stage, keys, count_steps(rows, keys, processes))])
    if 0 < rows < needed:
        what, then = "rows", "so every epoch is one step"
        if packed:
            what, then = "packed sequences", "and Axolotl may drop a step that is not full"
        yield (
            f"{stage}: {rows:,} {what} are fewer than the {needed:,} of one step, {then}; hint: "
            "make `micro_batch_size` or `gradient_accumulation_steps` smaller"
        )
