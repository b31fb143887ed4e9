"""A pair in one sequence: its prompt once, then chosen, then rejected, which does not see chosen.

Positions and attention are those of the two separate sequences, so every token's state is the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

FULL, SLIDING = "full_attention", "sliding_attention"
PROMPT, CHOSEN, REJECTED, NOTHING = range(4)


class Joined(NamedTuple):
    """Inputs [pairs, length], which pairs of places may attend [pairs, length, length], and where each place of the
    separate sequences [2 pairs, width] came to lie."""

    ids: Tensor
    positions: Tensor
    sees: Tensor
    places: Tensor


def why_not(config: Any) -> str | None:
    """Why a model cannot take joined pairs; None when it can."""
    if config._attn_implementation not in ("sdpa", "eager"):
        return f"attention by {config._attn_implementation} takes no mask of its own"
    kinds = set(getattr(config, "layer_types", None) or [])
    if (not kinds and getattr(config, "sliding_window", None)) or kinds - {FULL, SLIDING}:
        return f"`{config.model_type}` attends in a way of its own"
    return None


def join(batch: dict[str, Tensor]) -> Joined:
    """A batch of TRL's collator (all chosen, then all rejected, padded on the right), joined pair by pair."""
    attended, answers = batch["attention_mask"].bool(), batch["completion_mask"].bool()
    prompt = (attended & ~answers).sum(1).chunk(2)[0][:, None]
    chosen, rejected = (count[:, None] for count in answers.sum(1).chunk(2))
    length = int((prompt + chosen + rejected).max())
    steps = torch.arange(answers.shape[1], device=prompt.device).expand(len(prompt), -1)
    places = torch.cat([steps, steps + torch.where(steps >= prompt, chosen, 0)])
    ids = batch["input_ids"].new_zeros(len(prompt), length + 1)  # the last place takes the padding
    targets = torch.where(attended, places, length).chunk(2)
    for where, tokens in zip(targets, batch["input_ids"].chunk(2), strict=True):
        ids.scatter_(1, where, tokens)
    every = torch.arange(length, device=prompt.device)[None]
    ends = (prompt, prompt + chosen, prompt + chosen + rejected)
    part = sum((every >= end).long() for end in ends)
    positions = every - torch.where(part == REJECTED, chosen, 0)
    return Joined(ids[:, :length], positions, _sees(part), places)


def _sees(part: Tensor) -> Tensor:
    length = part.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=part.device).tril()
    other = (part[:, :, None] == REJECTED) & (part[:, None, :] == CHOSEN)
    itself = torch.eye(length, dtype=torch.bool, device=part.device)  # padding sees at least itself: no row of nothing
    return (before & ~other & (part != NOTHING)[:, None, :]) | itself


def inputs(joined: Joined, config: Any, dtype: torch.dtype) -> dict[str, Any]:
    """What a backbone with this config takes."""
    masks = {FULL: joined.sees}
    if SLIDING in (getattr(config, "layer_types", None) or []):
        distance = joined.positions[:, :, None] - joined.positions[:, None, :]
        masks[SLIDING] = joined.sees & (distance < config.sliding_window)
    shaped = {kind: _shaped(mask[:, None], config, dtype) for kind, mask in masks.items()}
    mask = shaped if SLIDING in shaped else shaped[FULL]
    return {"input_ids": joined.ids, "position_ids": joined.positions, "attention_mask": mask}


def _shaped(sees: Tensor, config: Any, dtype: torch.dtype) -> Tensor:
    """A mask as sdpa takes it, or as eager attention adds it."""
    if config._attn_implementation == "sdpa":
        return sees
    return torch.zeros(sees.shape, dtype=dtype, device=sees.device).masked_fill(~sees, torch.finfo(dtype).min)
