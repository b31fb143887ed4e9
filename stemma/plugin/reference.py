"""The reference's log-probabilities, computed once and kept by all they were computed from.

In large batches of like length: nothing is kept for a backward pass.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stemma.digests import digests_of_weights
from stemma.files import publish
from stemma.plugin.batches import by_tokens
from stemma.plugin.telling import tell

TOKENS = {"cpu": 4096, "cuda": 65536}
"""Padded tokens in one batch, by device."""
COLUMNS = ("prompt_ids", "chosen_ids", "rejected_ids")

Score = Callable[[list[int]], tuple[Tensor, Tensor]]
"""The reference's log-probabilities of chosen and rejected, of the rows with these numbers."""


@dataclass(frozen=True)
class Cache:
    """Files named by the digest of all that decides their content.

    That is the weights, the settings, and the rows as tokens (hence data, template and tokenizer).
    """

    folder: Path
    weights: str
    settings: dict[str, Any]

    def path(self, dataset: Any) -> Path:
        digest = hashlib.sha256(json.dumps([self.weights, self.settings]).encode())
        for row in dataset.select_columns(COLUMNS):
            digest.update(json.dumps([row[name] for name in COLUMNS]).encode())
        return self.folder / f"{digest.hexdigest()[:32]}.safetensors"


def digest_weights(folder: Path, commit: str | None) -> str:
    """The identity of the reference: its files' digests, or a hub model's name and commit."""
    return json.dumps(digests_of_weights(folder) or [str(folder), commit])


def add_reference(
    dataset: Any, lengths: Sequence[int], cache: Cache, accelerator: Accelerator, score: Score
) -> Any:
    """The dataset with the columns `ref_chosen_logps` and `ref_rejected_logps`.

    `lengths` are the tokens of the longer sequence of each row.
    """
    path = cache.path(dataset) if accelerator.is_main_process else Path()
    # Rank 0 decides for all: on several machines the others may not see its files.
    [known] = broadcast_object_list([_read(path) if path.is_file() else None])
    if known is None:
        known = _compute(lengths, accelerator, score)
        if accelerator.is_main_process:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # a damaged one
            publish(path, partial(save_file, {"logps": known}, metadata=_digest(known)))
    for name, values in zip(("chosen", "rejected"), known.tolist(), strict=True):
        dataset = dataset.add_column(f"ref_{name}_logps", values)
    return dataset


def _read(path: Path) -> Tensor | None:
    """What is kept; None where it is damaged, or carries no digest to tell."""
    try:
        with safe_open(path, "pt") as kept:
            known: Tensor = kept.get_tensor("logps")
            return known if kept.metadata() == _digest(known) else None
    except SafetensorError:
        return None


def _digest(known: Tensor) -> dict[str, str]:
    return {"sha256": hashlib.sha256(known.contiguous().numpy().tobytes()).hexdigest()}


def _compute(lengths: Sequence[int], accelerator: Accelerator, score: Score) -> Tensor:
    """The log-probabilities [chosen and rejected, rows], shared out over the ranks.

    Every rank takes every n-th batch, the same number of them: ZeRO-3 needs all ranks in each
    forward pass, so some compute a batch twice; the first result counts.
    """
    budget = TOKENS[accelerator.device.type]
    batches = by_tokens([2 * length for length in lengths], budget)
    ranks = accelerator.num_processes
    found = torch.zeros(2, len(lengths), device=accelerator.device)
    turns = -(-len(batches) // ranks)  # rounded up
    for turn in range(turns):
        tell("asking the reference", turn, turns, "batches")
        mine = turn * ranks + accelerator.process_index
        chosen, rejected = score(batches[min(mine, len(batches) - 1)])
        if mine < len(batches):
            found[:, batches[mine]] = torch.stack([chosen, rejected]).float()
    total: Tensor = accelerator.reduce(found, "sum")
    return total.cpu()
