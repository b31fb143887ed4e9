"""The recipe's `dpo.trainer` section: what Stemma's own DPO trainer does (`stemma/plugin`), each part by itself."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class DpoTrainer(BaseModel):
    """All of it leaves the loss of a batch as it is; `trainer: stock` instead is Axolotl's own trainer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    chunked_logps: bool = True
    """Log-probabilities of the answers' tokens only, in fp32, without a tensor of all logits."""
    group_by_length: bool = True
    """Pairs of like length share a batch, so that less is padding; another order than the stock trainer's."""
    precompute_reference: bool = True
    """The reference's log-probabilities once, before training, kept in the stage's folder."""
    shared_prompts: bool = False
    """Chosen and rejected in one sequence behind their prompt, which is computed once."""
