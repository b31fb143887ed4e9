"""A preference pair as one sequence: its prompt once, then chosen, then rejected.

Rejected does not see chosen. Positions and attention are those of the two separate sequences, so
that every token's hidden state is the same.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

FULL = "full_attention"
SLIDING = "sliding_attention"
"""transformers' names of the kinds of layers."""
PROMPT, CHOSEN, REJECTED, NOTHING = range(4)
"""The parts of a joined sequence; NOTHING is padding."""


class Joined(NamedTuple):
    """A batch of joined pairs."""

    ids: Tensor
    """[pairs, length]"""
    positions: Tensor
    """[pairs, length]"""
    sees: Tensor
    """Which place (the second) each place (the first) may attend to [pairs, length, length]."""
    places: Tensor
    """Where each place of the separate sequences [2 pairs, width] came to lie."""


def why_not(config: Any) -> str | None:
    """Why a model cannot take joined pairs; None when it can."""
    if config._attn_implementation not in ("sdpa", "eager"):
        return f"attention by {config._attn_implementation} takes no mask of its own"
    kinds = set(getattr(config, "layer_types", None) or [])
    slides_unnamed = not kinds and getattr(config, "sliding_window", None)
    if slides_unnamed or kinds - {FULL, SLIDING}:
        return f"`{config.model_type}` attends in a way of its own"
    return None


def join(batch: dict[str, Tensor]) -> Joined:
    """Join a batch of TRL's collator pair by pair.

    Its `input_ids`, `attention_mask` and `completion_mask` are [2 pairs, width]: all chosen, then
    all rejected, padded on the right.
    """
    attended = batch["attention_mask"].bool()
    answers = batch["completion_mask"].bool()
    # Tokens of each pair's parts, as columns [pairs, 1].
    prompt = (attended & ~answers).sum(1).chunk(2)[0][:, None]
    chosen, rejected = (count[:, None] for count in answers.sum(1).chunk(2))
    length = int((prompt + chosen + rejected).max())
    steps = torch.arange(answers.shape[1], device=prompt.device).expand(len(prompt), -1)
    # Of the rejected sequence, what comes after the prompt lies behind chosen.
    behind = steps + torch.where(steps >= prompt, chosen, 0)
    places = torch.cat([steps, behind])
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
    """Which place may attend to which [pairs, length, length], by the places' parts."""
    length = part.shape[1]
    before = torch.ones(length, length, dtype=torch.bool, device=part.device).tril()
    other_answer = (part[:, :, None] == REJECTED) & (part[:, None, :] == CHOSEN)
    is_token = (part != NOTHING)[:, None, :]
    # Padding sees at least itself: a row of nothing would be NaN.
    itself = torch.eye(length, dtype=torch.bool, device=part.device)
    return (before & ~other_answer & is_token) | itself


def inputs(joined: Joined, config: Any, dtype: torch.dtype) -> dict[str, Any]:
    """The arguments of a backbone with this config."""
    masks = {FULL: joined.sees}
    if SLIDING in (getattr(config, "layer_types", None) or []):
        distance = joined.positions[:, :, None] - joined.positions[:, None, :]
        masks[SLIDING] = joined.sees & (distance < config.sliding_window)
    shaped = {kind: _shaped(mask[:, None], config, dtype) for kind, mask in masks.items()}
    mask = shaped if SLIDING in shaped else shaped[FULL]
    return {
        "input_ids": joined.ids,
        "position_ids": joined.positions,
        "attention_mask": mask,
    }


def _shaped(sees: Tensor, config: Any, dtype: torch.dtype) -> Tensor:
    """A mask as sdpa takes it, or as eager attention adds it."""
    if config._attn_implementation == "sdpa":
        return sees
    lowest = torch.finfo(dtype).min
    added = torch.zeros(sees.shape, dtype=dtype, device=sees.device)
    return added.masked_fill(~sees, lowest)
