"""DPO's loss (arXiv:2305.18290, equation 7) and its measurements, from the scores of the answers' tokens."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from stemma.plugin.logps import Head, Scores, score_tokens


class Pairs(NamedTuple):
    """Per pair of a batch: summed log-probabilities [pairs], and the scores of all answer tokens [2 pairs, tokens]."""

    chosen: Tensor
    rejected: Tensor
    scores: Scores
    mask: Tensor


def before_answers(batch: dict[str, Tensor]) -> Tensor:
    """The places [2 pairs, width - 1] whose next token belongs to an answer."""
    return batch["completion_mask"][:, 1:].bool()


def score_pairs(states: Tensor, batch: dict[str, Tensor], head: Head, measure: bool = True) -> Pairs:
    """Scores of a batch of TRL's collator, first all chosen, then all rejected, from the states `before_answers`."""
    mask = before_answers(batch)
    scores = score_tokens(states, batch["input_ids"][:, 1:][mask], head, measure)
    spread = Scores(*(torch.zeros(mask.shape, device=mask.device).masked_scatter(mask, x.float()) for x in scores))
    chosen, rejected = spread.logps.sum(1).chunk(2)
    return Pairs(chosen, rejected, spread, mask)


def sigmoid_loss(policy: Pairs, reference: tuple[Tensor, Tensor], beta: float) -> Tensor:
    chosen, rejected = policy.chosen - reference[0], policy.rejected - reference[1]
    return -logsigmoid(beta * (chosen - rejected)).mean()


def measurements(policy: Pairs, reference: tuple[Tensor, Tensor], beta: float, tokens: Tensor) -> dict[str, Tensor]:
    """Figures of each pair [pairs] whose sums over all ranks give the metrics (`metrics`); `tokens` of the batch."""
    chosen, rejected = beta * (policy.chosen - reference[0]), beta * (policy.rejected - reference[1])
    chosen_count, rejected_count = policy.mask.sum(1).float().chunk(2)
    chosen_logit, rejected_logit = policy.scores.mean_logit.sum(1).chunk(2)
    entropy = policy.scores.entropy.sum(1).chunk(2)
    figures = {
        "rewards/chosen": chosen, "rewards/rejected": rejected, "rewards/accuracies": (chosen > rejected).float(),
        "rewards/margins": chosen - rejected, "logps/chosen": policy.chosen, "logps/rejected": policy.rejected,
        "chosen_count": chosen_count, "rejected_count": rejected_count, "chosen_logit": chosen_logit,
        "rejected_logit": rejected_logit, "entropy": entropy[0] + entropy[1],
        "top": policy.scores.is_top.sum(1).chunk(2)[0], "pairs": torch.ones_like(chosen), "tokens": tokens,
    }  # fmt: skip
    return {name: values.detach() for name, values in figures.items()}


def metrics(sums: dict[str, float]) -> dict[str, float]:
    """TRL's metrics, under its names, from the sums of `measurements`."""

    def share(name: str, *of: str) -> float:
        count = sum(sums[part] for part in of)
        return sums[name] / count if count else 0.0

    per_pair = {name: share(name, "pairs") for name in sums if "/" in name}
    return per_pair | {
        "logits/chosen": share("chosen_logit", "chosen_count"),
        "logits/rejected": share("rejected_logit", "rejected_count"),
        "entropy": share("entropy", "chosen_count", "rejected_count"),
        "mean_token_accuracy": share("top", "chosen_count"),
    }
